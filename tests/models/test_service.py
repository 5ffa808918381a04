"""A running service asked over its model API: what it holds, a switch of that, and answers that are none of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from modelhost.http.roles import Role
from release.config.secret import Secret
from release.errors import ModelsError, Refused, Superseded, UsageError
from release.models.service import Address, ModelService
from release.models.switching import ServiceBoard
from tests.support.ports import free_port
from tests.support.translating import Translating


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Translating]:
    """1.0.0 serves, 1.1.0 is published beside it."""
    service = Translating(tmp_path / "service")
    service.publish("1.0.0", stable=True)
    service.publish("1.1.0")
    service.start()
    yield service
    service.stop()


@pytest.fixture
def asked(running: Translating) -> ModelService:
    return ModelService(Address(running.url, token=Secret(running.operator)))


@pytest.fixture
def board(asked: ModelService) -> ServiceBoard:
    return ServiceBoard(asked)


def test_it_tells_what_serves_and_what_is_in_memory(asked: ModelService) -> None:
    found = {held.version: (held.state, held.serves, held.status) for held in asked.held()}
    assert found == {"1.1.0": ("UNAVAILABLE", False, "unstable"), "1.0.0": ("READY", True, None)}
    assert asked.serving() == {"translator": "1.0.0"}


def test_a_promotion_switches_it_and_marks_it_stable(running: Translating, board: ServiceBoard) -> None:
    assert not board.is_so({"translator": "1.1.0"})
    done = board.promote({"translator": "1.1.0"}, "anna", "better")
    assert (done.before, done.after, done.changed) == ("1.0.0", "1.1.0", True)
    assert running.serving == board.current("translator") == "1.1.0"
    assert board.is_so({"translator": "1.1.0"})


def test_a_rollback_goes_back_and_rejects_what_was_left(running: Translating, board: ServiceBoard) -> None:
    board.promote({"translator": "1.1.0"}, "anna", "better")
    done = board.rollback("translator", None, "bert", "wrong names")
    assert (done.before, done.after, running.serving) == ("1.1.0", "1.0.0", "1.0.0")
    assert "translator 1.1.0 is rejected" in done.text


def test_a_switch_that_was_meant_for_another_generation_changes_nothing(
    running: Translating, asked: ModelService
) -> None:
    seen = asked.generation()
    meant = ServiceBoard(asked, expect=seen)
    meant.demand_expected()
    meant.promote({"translator": "1.1.0"}, "anna", "better")
    assert asked.generation() == seen + 1
    with pytest.raises(Superseded, match=f"generation {seen + 1} serves at .*, and {seen} was expected"):
        meant.demand_expected()
    with pytest.raises(Superseded, match=r"translator 1\.1\.0"):
        meant.rollback("translator", None, "bert", "meant for what was before")
    with pytest.raises(Superseded):
        meant.promote({"translator": "1.0.0"}, "bert", "meant for what was before")
    assert running.serving == "1.1.0"


def test_who_asked_and_why_reach_the_service(running: Translating, board: ServiceBoard) -> None:
    board.promote({"translator": "1.1.0"}, "anna", "better")
    assert running.host is not None
    record = running.host.serving.history.records()[-1]
    assert (record.who, record.why) == ("operator-of-tests", "better (asked for by anna)")


def test_a_rollback_with_nothing_before_it_is_refused_and_changes_nothing(
    running: Translating, board: ServiceBoard
) -> None:
    with pytest.raises(Refused, match="no version that served is left and stable"):
        board.rollback("translator", None, "anna", "bad")
    assert running.serving == "1.0.0"


def test_a_version_is_brought_into_memory_once_and_leaves_again(asked: ModelService, board: ServiceBoard) -> None:
    assert board.prepare("translator", "1.1.0") is True
    assert board.prepare("translator", "1.1.0") is False
    board.leave("translator", "1.1.0")
    assert {held.version: held.state for held in asked.held()}["1.1.0"] == "UNAVAILABLE"


def test_names_that_it_does_not_know_are_wrong_names(board: ServiceBoard) -> None:
    assert board.number("translator", "v1.1.0") == "1.1.0"
    with pytest.raises(UsageError, match="no component nobody") as refusal:
        board.number("nobody", "1.0.0")
    assert refusal.value.hint == "there is translator"
    with pytest.raises(UsageError, match=r"no version 9\.0\.0") as refusal:
        board.number("translator", "9.0.0")
    assert refusal.value.hint == "there is 1.1.0, 1.0.0"


@pytest.mark.parametrize(("token", "said"), [(None, "viewer"), ("mh_no_body", "nobody has this")])
def test_without_a_valid_token_nothing_is_told_and_the_hint_says_where_one_goes(
    running: Translating, token: str | None, said: str
) -> None:
    with pytest.raises(ModelsError, match=said) as refusal:
        ModelService(Address(running.url, token=None if token is None else Secret(token))).held()
    assert "models.token" in (refusal.value.hint or "")


def test_a_viewer_sees_and_switches_nothing(running: Translating) -> None:
    service = ModelService(Address(running.url, token=Secret(running.tokens[Role.VIEWER])))
    assert service.serving() == {"translator": "1.0.0"}
    with pytest.raises(ModelsError, match="operator"):
        service.promote({"translator": "1.1.0"}, "better")
    assert running.serving == "1.0.0"


def test_the_token_is_in_no_representation(running: Translating) -> None:
    assert running.operator not in repr(Address(running.url, token=Secret(running.operator)))


def test_an_api_below_a_path_is_found_by_its_prefix(tmp_path: Path) -> None:
    service = Translating(tmp_path / "service")
    service.publish("1.0.0", stable=True)
    service.start(prefix="/models")
    try:
        found = ModelService(Address(service.url, "/models", Secret(service.operator))).serving()
        assert found == {"translator": "1.0.0"}
        with pytest.raises(ModelsError, match="not as a model API does") as refusal:
            ModelService(Address(service.url, "", Secret(service.operator))).serving()
        assert "models.prefix" in (refusal.value.hint or "")
    finally:
        service.stop()


def test_nobody_there_is_something_unusable() -> None:
    with pytest.raises(ModelsError, match="connection refused"):
        ModelService(Address(f"http://127.0.0.1:{free_port()}")).held()


class _Stranger(BaseHTTPRequestHandler):
    """Answers everything with the text that its server holds."""

    def do_GET(self) -> None:
        text: bytes = self.server.text  # type: ignore[attr-defined]
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET

    def log_message(self, format: str, *arguments: object) -> None: ...


@contextmanager
def saying(text: bytes, status: int = 200) -> Iterator[ModelService]:
    """A service that answers everything with this."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Stranger) as server:
        server.text, server.status = text, status  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield ModelService(Address(f"http://127.0.0.1:{server.server_port}"))
        finally:
            server.shutdown()
            thread.join(30)


@pytest.mark.parametrize("text", [b"<html>welcome</html>", b"[]", b'{"serving": 3}', b""])
def test_what_is_no_model_api_is_called_that(text: bytes) -> None:
    with saying(text) as service:
        with pytest.raises(ModelsError, match="is no model API"):
            service.serving()
        with pytest.raises(ModelsError, match="is no model API"):
            service.generation()


@pytest.mark.parametrize(
    ("hint", "heard"),
    [
        (
            'with "together": true its mates go back with it',
            "`release models rollback a --together` takes its mates back",
        ),
        ("with together=True these go back as one: a 2 → 1", "--together` takes these back as one: a 2 → 1"),
        ("no set that served fits; name versions with a swap", "`release models promote` lets any versions serve"),
        (
            "bert: slow; restore it first (POST /restore/a {version, reason}), or name another",
            "bert: slow; promote it with",
        ),
        ("restore it first, or name another", "promote it with --restore, or name another"),
        (
            "restore it first (POST /restore/a {version, reason}), and promote it, or name another",
            "promote it with --restore, or name another",
        ),
    ],
)
def test_a_way_out_is_told_in_the_words_of_the_command_line(hint: str, heard: str) -> None:
    kind = "Refused" if "restore" in hint else "MateMismatch"
    text = json.dumps({"error": "a 2 wants b 2", "hint": hint, "kind": kind}).encode()
    with saying(text, 422) as service, pytest.raises(Refused) as refused:
        ServiceBoard(service).rollback("a", None, "anna", "bad")
    assert heard in (refused.value.hint or "") and "together=True" not in str(refused.value.hint)


def test_of_a_cluster_it_is_told_what_all_are_to_serve_and_who_does_not() -> None:
    alone = b'{"generation": 3, "cluster": null, "behind": []}'
    with saying(alone) as service:
        assert service.standing() == (3, [])
    member = b'{"generation": 3, "cluster": {"generation": 4}, "behind": [{"member": "anna"}, {"member": "bert"}]}'
    with saying(member) as service:
        assert service.standing() == (4, ["anna", "bert"])
