"""Events reach a real HTTP server; what fails is told without a secret, in bounded time, and raises nothing."""

from __future__ import annotations

import json
import queue
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from release.notify import Event, Notifier, Occasion, hidden, scrubbed
from tests.support.ports import free_port

EVENT = Event(
    Occasion.REFUSED,
    scope="translator-production",
    release="v1.2.0-abc1234",
    reason="quality: 4 BLEU worse than v1.1.0-bbbbbbb",
    live="v1.1.0-bbbbbbb",
    actor="alice",
    host="host-1",
    deployment="d-1",
)


class Inbox:
    """A web hook that keeps what it is sent, and answers with `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.letters: queue.Queue[dict[str, Any]] = queue.Queue()
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                inbox.letters.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(inbox.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    made = Inbox()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def dead_port() -> int:
    return free_port()


@pytest.mark.parametrize("occasion", list(Occasion))
def test_every_occasion_arrives_with_its_title_and_reason(inbox: Inbox, occasion: Occasion) -> None:
    event = Event(occasion, "translator", "v1.2.0-abc1234", reason="because 译")
    assert Notifier([f"json://{inbox.address}/hook"], timeout=60).send(event) == []
    letter = inbox.letters.get(timeout=60)
    assert letter["title"] == f"translator: v1.2.0-abc1234 {occasion}"
    assert letter["message"] == "because 译"
    expected = {Occasion.DEPLOYED: "success", Occasion.ROLLED_BACK: "warning", Occasion.SUPERSEDED: "warning"}
    assert letter["type"] == expected.get(occasion, "failure")


def test_the_body_says_why_what_is_live_and_who(inbox: Inbox) -> None:
    assert Notifier([f"json://{inbox.address}/hook"], timeout=60).send(EVENT) == []
    assert inbox.letters.get(timeout=60)["message"].splitlines() == [
        "quality: 4 BLEU worse than v1.1.0-bbbbbbb",
        "Live now: v1.1.0-bbbbbbb",
        "Deployment d-1 by alice on host-1",
    ]


def test_a_dead_address_does_not_keep_the_others_from_hearing(inbox: Inbox, dead_port: int) -> None:
    urls = [f"json://user:hunter22@127.0.0.1:{dead_port}/t0ken", f"json://{inbox.address}/hook", ""]
    (failure,) = Notifier(urls, timeout=60).send(EVENT)
    assert failure.startswith(f"notification to json://127.0.0.1:{dead_port}/…: ")
    assert "hunter22" not in failure and "t0ken" not in failure
    assert inbox.letters.get(timeout=60)["title"] == EVENT.title


def test_an_address_that_refuses_is_a_failure_with_its_answer(inbox: Inbox) -> None:
    inbox.status = 403
    (failure,) = Notifier([f"json://{inbox.address}/hook"], timeout=60).send(EVENT)
    assert "403" in failure or "Forbidden" in failure


def test_a_peer_that_never_answers_ends_at_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        (failure,) = Notifier([f"json://127.0.0.1:{port}/x?rto=60"], timeout=0.5).send(EVENT)
        assert failure == f"notification to json://127.0.0.1:{port}/…: no answer within 0.5 s"


@pytest.mark.parametrize(
    "url",
    ["nosuch://t0kent0ken", "slack://t0kent0ken", "t0kent0ken", "://t0kent0ken", "json://[t0kent0ken", "mailto://"],
)
def test_an_address_that_is_none_is_told_without_its_text(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    (failure,) = Notifier([url], timeout=60).send(EVENT)
    assert failure.startswith("notification to ")
    assert "t0kent0ken" not in failure + repr(Notifier([url])) + "".join(capfd.readouterr())


def test_without_addresses_nothing_is_sent() -> None:
    assert Notifier([]).send(EVENT) == []
    assert Notifier(["", "  "]).send(EVENT) == []


def test_a_long_reason_is_cut_and_an_empty_one_is_no_empty_message() -> None:
    long = Event(Occasion.FAILED, "s", "r", reason="x" * 10_000)
    assert len(long.body) < 2_000 and long.body.endswith("…")
    assert Event(Occasion.FAILED, "s", "r").body == "s: r failed"


def test_only_what_is_no_secret_of_an_address_is_shown() -> None:
    assert hidden("jsons://user:pw12@hooks.example:8443/T0/abcdef?key=1") == "jsons://hooks.example:8443/…"
    assert hidden("slack://TokenA/TokenB/TokenC") == "slack://…"
    text = scrubbed("failed: https://hooks.example/T000/abcdef as user1", "json://user1:pw12@hooks.example/T000/abcdef")
    assert text == "failed: https://hooks.example/****/**** as ****"
    assert scrubbed("no login as p@ss/word", "mailto://user:p%40ss%2Fword@mail.example") == "no login as ****"
