"""Thumbs: what is kept, what is refused, and that nothing grows without end."""

from __future__ import annotations

import concurrent.futures
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from tests.translator.faces import serving
from translator import feedback as module
from translator.answering import Answer
from translator.errors import Refusal
from translator.feedback import Feedback, FeedbackRequest, add_feedback

OTHER = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"  # an id as another process gives it
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "feedback.jsonl"


@pytest.fixture
def feedback(file: Path, registry: CollectorRegistry) -> Feedback:
    made = Feedback(file, registry, remembered=3, clock=lambda: WHEN)
    made.remember(Answer(["x"], "v1.1.0", "a"))
    return made


@pytest.fixture
def url(feedback: Feedback) -> Iterator[str]:
    with serving(lambda app: add_feedback(app, feedback)) as base:
        yield f"{base}/feedback"


def lines(file: Path) -> list[dict[str, Any]]:
    """What the file holds."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def counted(registry: CollectorRegistry, version: str, thumb: str) -> float:
    """The counter, 0 where it has no such series yet."""
    return registry.get_sample_value("translator_feedback_total", {"version": version, "thumb": thumb}) or 0


def test_a_thumb_is_recorded_with_its_answer(url: str, file: Path, registry: CollectorRegistry) -> None:
    answer = httpx.post(url, json={"request_id": "a", "thumb": "down", "comment": "应该是“你好”"}, timeout=60)
    assert (answer.status_code, answer.content) == (204, b"")
    assert lines(file) == [
        {
            "when": "2026-01-02T03:04:05.000+00:00",
            "request_id": "a",
            "version": "v1.1.0",
            "thumb": "down",
            "comment": "应该是“你好”",
        }
    ]
    assert counted(registry, "v1.1.0", "down") == 1


def test_a_second_thumb_replaces_the_first_and_the_same_again_changes_nothing(
    url: str, file: Path, registry: CollectorRegistry
) -> None:
    for thumb in ("up", "up", "down", "down"):
        assert httpx.post(url, json={"request_id": "a", "thumb": thumb}, timeout=60).status_code == 204
    assert [line["thumb"] for line in lines(file)] == ["up", "down"]
    assert (counted(registry, "v1.1.0", "up"), counted(registry, "v1.1.0", "down")) == (1, 1)


def test_an_id_that_no_other_process_can_have_given_is_a_404(url: str, feedback: Feedback, file: Path) -> None:
    for number in range(3):
        feedback.remember(Answer(["x"], "v1.0.0", f"newer-{number}"))
    for unknown in ("a", "never", "", OTHER[1:], f"{OTHER}0", f"{OTHER[:-1]}g", f"{OTHER}\n"):
        answer = httpx.post(url, json={"request_id": unknown, "thumb": "up"}, timeout=60)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_request")
    assert not file.exists()
    assert httpx.post(url, json={"request_id": "newer-0", "thumb": "up"}, timeout=60).status_code == 204


def test_the_fallback_and_the_variant_of_an_experiment_are_named(
    feedback: Feedback, file: Path, registry: CollectorRegistry
) -> None:
    feedback.remember(Answer(["x"], "", "b", fallback=True))
    feedback.remember(Answer(["x"], "v1.0.0", "c", variant="AB:treatment"))
    for request_id in ("b", "c"):
        feedback.give(FeedbackRequest(request_id=request_id, thumb="up"))
    assert [(line["version"], line.get("variant")) for line in lines(file)] == [
        ("fallback", None),
        ("v1.0.0", "AB:treatment"),
    ]
    assert counted(registry, "fallback", "up") == 1


def test_a_thumb_for_an_answer_of_another_process_is_taken_as_not_verified(
    url: str, file: Path, registry: CollectorRegistry
) -> None:
    seen = {"request_id": OTHER, "version": "v1.0.0", "variant": "AB:treatment"}
    for thumb in ("up", "up", "down"):
        assert httpx.post(url, json={**seen, "thumb": thumb}, timeout=60).status_code == 204
    bare = str(uuid.UUID(OTHER))
    assert httpx.post(url, json={"request_id": bare, "thumb": "up"}, timeout=60).status_code == 204
    common = {"when": "2026-01-02T03:04:05.000+00:00", "verified": False}
    assert lines(file) == [
        {**common, **seen, "thumb": "up"},
        {**common, **seen, "thumb": "down"},
        {**common, "request_id": bare, "version": "unknown", "thumb": "up"},
    ]
    assert counted(registry, "unverified", "up") == 2
    assert counted(registry, "v1.0.0", "up") == 0  # a stranger makes no series of the counter


def test_of_an_answer_that_is_known_here_nobody_else_says_the_version(url: str, file: Path) -> None:
    said = {"request_id": "a", "thumb": "up", "version": "v9.9.9", "variant": "made up"}
    assert httpx.post(url, json=said, timeout=60).status_code == 204
    assert [(line["version"], "variant" in line, "verified" in line) for line in lines(file)] == [
        ("v1.1.0", False, False)
    ]


def test_what_is_not_verified_leaves_half_of_the_file_to_what_is(
    feedback: Feedback, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST_FILE", 1000)
    with pytest.raises(Refusal, match="could not be written"):
        for _ in range(9):
            feedback.give(FeedbackRequest(request_id=uuid.uuid4().hex, thumb="up"))
    assert 300 < file.stat().st_size <= 500
    feedback.give(FeedbackRequest(request_id="a", thumb="up"))


def test_thumbs_for_answers_that_are_not_known_take_no_memory_without_end(
    feedback: Feedback, monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    monkeypatch.setattr(module, "UNVERIFIED", 2)
    ids = [f"{number:032x}" for number in range(3)]
    for each in (*ids, ids[2], ids[0]):  # the last of them is known, the first forgotten
        feedback.give(FeedbackRequest(request_id=each, thumb="up"))
    feedback.give(FeedbackRequest(request_id="a", thumb="up"))  # and none of them pushed an answer out
    assert [line["request_id"] for line in lines(file)] == [*ids, ids[0], "a"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"request_id": "a"}',
        b'{"request_id": "a", "thumb": "sideways"}',
        b'{"request_id": 7, "thumb": "up"}',
        b'{"request_id": "a", "thumb": "up", "comment": "' + b"x" * 501 + b'"}',
        b'{"request_id": "a", "thumb": "up", "comment": "\\ud800"}',
        b'{"request_id": "a", "thumb": "up", "more": 1}',
        b'{"request_id": "a", "thumb": "up", "version": "' + b"x" * 201 + b'"}',
        b'{"request_id": "\xff", "thumb": "up"}',
    ],
    ids=lambda body: body[:48],
)
def test_what_is_no_thumb_is_refused_in_the_services_own_form(url: str, body: bytes, file: Path) -> None:
    answer = httpx.post(url, content=body, timeout=60)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "wrong_type")
    assert not file.exists()


def test_a_thumb_that_cannot_be_written_is_not_counted_and_can_be_given_again(
    url: str, file: Path, registry: CollectorRegistry
) -> None:
    file.parent.mkdir()
    file.mkdir()  # a folder where the file should be
    refused = httpx.post(url, json={"request_id": "a", "thumb": "up"}, timeout=60)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_recorded")
    assert counted(registry, "v1.1.0", "up") == 0
    file.rmdir()
    assert httpx.post(url, json={"request_id": "a", "thumb": "up"}, timeout=60).status_code == 204
    assert len(lines(file)) == 1


def test_the_file_does_not_grow_without_end(
    feedback: Feedback, file: Path, monkeypatch: pytest.MonkeyPatch, registry: CollectorRegistry
) -> None:
    monkeypatch.setattr(module, "LARGEST_FILE", 250)
    thumbs: list[module.Thumb] = ["up", "down"]
    with pytest.raises(Refusal, match="could not be written"):
        for number in range(9):
            feedback.give(FeedbackRequest(request_id="a", thumb=thumbs[number % 2]))
    assert len(lines(file)) == 2
    assert file.stat().st_size <= 250


def test_without_a_file_thumbs_are_counted(registry: CollectorRegistry) -> None:
    feedback = Feedback(None, registry)
    feedback.remember(Answer(["x"], "v1.1.0", "a"))
    feedback.give(FeedbackRequest(request_id="a", thumb="up"))
    assert counted(registry, "v1.1.0", "up") == 1


def test_many_at_once_are_written_line_by_line(file: Path, registry: CollectorRegistry) -> None:
    feedback = Feedback(file, registry)
    ids = [f"r{number}" for number in range(200)]
    for each in ids:
        feedback.remember(Answer(["x"], "v1.1.0", each))
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda each: feedback.give(FeedbackRequest(request_id=each, thumb="up")), ids))
    assert sorted(line["request_id"] for line in lines(file)) == sorted(ids)
    assert counted(registry, "v1.1.0", "up") == 200


def test_the_contract_describes_it(url: str) -> None:
    operation = httpx.get(url.replace("/feedback", "/openapi.json"), timeout=60).json()["paths"]["/feedback"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert set(schema["required"]) == {"request_id", "thumb"}
    assert {"204", "404", "422", "503"} <= set(operation["responses"])
    assert operation["responses"]["422"]["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorAnswer")
