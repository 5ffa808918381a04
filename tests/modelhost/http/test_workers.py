"""`uvicorn --workers 2`, in a cluster: whichever process is asked to load or unload, all of them do."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.workers import Workers


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    """1.0.0 serves, 1.1.0 is published beside it."""
    workers = Workers(tmp_path / "service")
    workers.service.publish("1.0.0", stable=True)
    workers.service.publish("1.1.0")
    try:
        workers.start()
        yield workers
    finally:
        workers.stop()


def test_what_was_loaded_answers_in_every_process_and_what_was_unloaded_in_none(workers: Workers) -> None:
    workers.service.publish("1.2.0")
    assert list(workers.asked_by_name("1.1.0").values()) == [{404}, {404}]
    for version in ("1.1.0", "1.2.0"):  # the second is not two seconds old: no process has looked for it yet
        loaded = workers.repository("load", version)
        assert (loaded.status_code, loaded.json()) == (200, {"version": version, "fresh": True}), loaded.text
        assert list(workers.asked_by_name(version).values()) == [{200}, {200}]
    assert workers.repository("load", "1.1.0").json()["fresh"] is False
    assert workers.repository("unload", "1.1.0").status_code == 200
    assert list(workers.asked_by_name("1.1.0").values()) == [{404}, {404}]
    assert list(workers.asked_by_name("1.2.0").values()) == [{200}, {200}]
    assert workers.held() == ["1.2.0"]


def test_the_version_before_can_be_unloaded_everywhere(workers: Workers) -> None:
    asked = {"version": "1.1.0", "reason": "better"}
    assert workers.ask("POST", "/promote/translator", asked).status_code == 200
    assert list(workers.asked_by_name("1.0.0").values()) == [{200}, {200}]
    assert workers.repository("unload", "1.0.0").status_code == 200
    assert list(workers.asked_by_name("1.0.0").values()) == [{404}, {404}]
    refused = workers.repository("unload", "1.1.0")
    assert (refused.status_code, refused.json()["error"]) == (
        409,
        "translator 1.1.0 serves; promote another version first",
    )
    assert workers.repository("unload", "9.0.0").status_code == 404


def test_a_switch_is_in_the_history_once_with_the_processes_that_made_it(workers: Workers) -> None:
    members = workers.members()
    for version in ("1.1.0", "1.0.0"):
        asked = {"version": version, "reason": f"to {version}"}
        assert workers.ask("POST", "/promote/translator", asked).status_code == 200

    def told() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = workers.ask("GET", "/history").json()
        return found

    workers.until(lambda: [sorted(each["processes"]) for each in told()[:2]] == [members] * 2, "both made each of them")
    switches = told()
    assert [(each["kind"], each["why"]) for each in switches[:2]] == [("swap", "to 1.0.0"), ("swap", "to 1.1.0")]
    assert sorted(each["processes"] for each in switches[2:]) == [[name] for name in members], "each one's own start"


def test_a_process_that_cannot_load_it_is_named_and_no_process_has_it(workers: Workers) -> None:
    unable = workers.members()[0]
    (workers.path / "unable").write_text(unable.rsplit("-", 1)[1])
    failed = workers.repository("load", "1.1.0")
    assert failed.status_code == 500, failed.text
    assert f"{unable}: " in failed.json()["hint"] and "no device is free" in failed.json()["hint"]
    assert workers.held() == []
    workers.until(lambda: list(workers.asked_by_name("1.1.0").values()) == [{404}, {404}], "it has left again")
    assert len(workers.members()) == 2, "both are ready"


def test_a_process_that_takes_the_place_of_a_killed_one_holds_it_too(workers: Workers) -> None:
    assert workers.repository("load", "1.1.0").status_code == 200
    killed = workers.members()[0]
    os.kill(int(killed.rsplit("-", 1)[1]), signal.SIGKILL)
    workers.until(lambda: len({*workers.members()} - {killed}) == 2, "another one is there")
    workers.until(lambda: list(workers.asked_by_name("1.1.0").values()) == [{200}, {200}], "it holds it")
    assert workers.held() == ["1.1.0"]
