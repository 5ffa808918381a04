"""A peer that deals out its answer a byte at a time: every question has an end all the same."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from release.checks.http import Client
from release.direct.daemon import Direct
from release.direct.deadline import Connection, Deadline
from release.errors import EngineError
from release.proxy import questions

PATIENCE = 60.0  # a test that fails ends here
Trickling = Callable[..., str]


@pytest.fixture
def trickling(tmp_path: Path) -> Iterator[Trickling]:
    """Starts a peer that says `first` at once and then header bytes for as long as it is listened to; its address."""
    over, servers, threads = threading.Event(), [], []

    def trickle(server: socket.socket, first: bytes) -> None:
        while not over.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.recv(65536)
                    connection.sendall(first)
                    for byte in itertools.cycle(b"X-Slow: a\r\n"):
                        if over.wait(0.05):
                            break
                        connection.sendall(bytes([byte]))
                except OSError:
                    continue

    def start(first: bytes = b"HTTP/1.1 200 OK\r\n", unix: bool = False) -> str:
        if unix:
            server = socket.socket(socket.AF_UNIX)
            server.bind(str(tmp_path / "s"))
            server.listen()
        else:
            server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)
        threads.append(threading.Thread(target=trickle, args=(server, first), daemon=True))
        threads[-1].start()
        return str(tmp_path / "s") if unix else f"127.0.0.1:{server.getsockname()[1]}"

    yield start
    over.set()
    for server in servers:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
    for thread in threads:
        thread.join(PATIENCE)


def ended(question: Callable[[], object]) -> object:
    """What the question comes to; fails where it does not end."""
    came: list[object] = []
    asking = threading.Thread(target=lambda: came.append(question()), daemon=True)
    asking.start()
    asking.join(PATIENCE)
    assert not asking.is_alive(), "it waits for as long as bytes come"
    return came[0]


def test_a_candidate_that_trickles_its_headers_does_not_hold_a_check(trickling: Trickling) -> None:
    client = Client(f"http://{trickling()}")
    reply = ended(lambda: client.get("/", 0.3))
    assert (reply.status, reply.error) == (None, "no complete answer within 0.3 s")  # type: ignore[attr-defined]


def test_the_next_question_of_a_client_has_its_own_time(trickling: Trickling, tmp_path: Path) -> None:
    """The deadline belongs to the question, and not to the connection that is kept alive."""
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                while connection.recv(65536):
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        client = Client(f"http://127.0.0.1:{server.getsockname()[1]}")
        assert client.get("/", 5).body == b"ok"
        time.sleep(5.1)
        assert client.get("/", 60).body == b"ok"
        client.close()


@pytest.mark.parametrize("unix", [False, True])
def test_an_engine_that_trickles_does_not_hold_a_rollback(
    trickling: Trickling, unix: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("release.direct.daemon._TIMEOUT", 0.3)
    monkeypatch.delenv("DOCKER_TLS_VERIFY", raising=False)
    address = trickling(unix=unix)
    direct = Direct(f"unix://{address}" if unix else f"tcp://{address}", "start it")

    def ask() -> object:
        try:
            return direct.ask("GET", "/containers/json")
        except EngineError as error:
            return error

    error = ended(ask)
    assert isinstance(error, EngineError) and "does not answer (timed out)" in error.message


def test_an_nginx_that_trickles_does_not_hold_a_rollback(trickling: Trickling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("release.proxy.questions._TIMEOUT", 0.3)
    address = trickling()
    assert ended(lambda: questions.ask(f"http://{address}", "/release/config")) == (0, {})


def test_a_service_behind_the_public_listener_that_streams_answers(
    trickling: Trickling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("release.proxy.questions._TIMEOUT", 3.0)
    address = trickling(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
    assert ended(lambda: questions.ask(f"http://{address}", "/")) == (200, {})


def test_an_answer_outlives_the_closing_of_its_connection() -> None:
    """http.client closes the socket of an answer that ends with its connection before the body is read."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nwhole")

        threading.Thread(target=serve, daemon=True).start()
        connection = Connection(f"127.0.0.1:{server.getsockname()[1]}", PATIENCE)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"whole"


def test_a_deadline_that_has_passed_leaves_nothing() -> None:
    with pytest.raises(TimeoutError):
        Deadline(0)()
