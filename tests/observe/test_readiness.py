"""A probe says what came back, and never takes longer than it was given."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from release.observe.readiness import probe
from tests.support.ports import free_port


class _Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(int(self.path.rpartition("=")[2]))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Health)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def raw() -> Iterator[Callable[[Callable[[socket.socket], None]], str]]:
    """Serves one connection with the given function."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def start(serve: Callable[[socket.socket], None]) -> str:
        def run() -> None:
            connection, _ = listener.accept()
            with connection:
                with contextlib.suppress(OSError):  # the probe may have left
                    serve(connection)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for thread in threads:
        thread.join()
    listener.close()


@pytest.mark.parametrize(("status", "ready"), [(200, True), (204, True), (302, True), (404, False), (503, False)])
def test_the_status_decides(service: str, status: int, ready: bool) -> None:
    answer = probe(f"{service}/health?status={status}", timeout=60)
    assert (answer.ready, answer.status, answer.detail) == (ready, status, f"answered {status}")


def test_a_closed_port_is_not_ready() -> None:
    answer = probe(f"http://127.0.0.1:{free_port()}/health", timeout=60)
    assert not answer.ready and "refused" in answer.detail.lower()


def test_a_connection_closed_without_an_answer_is_not_ready(raw: Callable[..., str]) -> None:
    url = raw(lambda connection: connection.recv(1000) and None)
    assert probe(url, timeout=60).detail == "closed the connection without an answer"


def test_something_else_than_http_is_not_ready(raw: Callable[..., str]) -> None:
    def speak(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"SSH-2.0-OpenSSH\r\n\r\n")

    assert probe(raw(speak), timeout=60).detail == "no HTTP answer"


def test_an_answer_that_drips_ends_at_the_deadline(raw: Callable[..., str]) -> None:
    def drip(connection: socket.socket) -> None:
        for _ in range(200):
            connection.sendall(b"H")
            time.sleep(0.02)

    answer = probe(raw(drip), timeout=0.3)
    assert not answer.ready and answer.detail == "no answer within 0.3 s"


def test_a_body_that_never_ends_does_not_matter(raw: Callable[..., str]) -> None:
    def stream(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.recv(1)

    assert probe(raw(stream), timeout=60).ready


def test_only_plain_http_is_asked() -> None:
    with pytest.raises(ValueError, match="https"):
        probe("https://127.0.0.1/")
