"""The client: what it sends, what it makes of what comes back, and that it retries nothing."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from release.checks.http import Client, fill, takes_source
from release.config.checks import Request


def test_the_source_goes_into_path_and_body_wherever_it_stands() -> None:
    request = Request(path="/t?q={source}", json={"q": ["{source}", "x {source} y", 7], "n": {"m": "{source}"}})
    assert fill(request, "a b/ü") == (
        "/t?q=a%20b%2F%C3%BC",
        {"q": ["a b/ü", "x a b/ü y", 7], "n": {"m": "a b/ü"}},
    )
    assert takes_source(request)
    assert not takes_source(Request(path="/t", json={"q": "text"}))


def test_braces_other_than_the_placeholder_are_left_alone() -> None:
    assert fill(Request(path="/", json={"q": "{0} {{source}} {x}"}), "S")[1] == {"q": "{0} {S} {x}"}


def test_a_service_that_is_not_there_is_a_reply_and_no_exception() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        reply = Client(f"http://127.0.0.1:{port}").get("/", 60)  # while nobody else can listen there
    assert (reply.status, reply.ok, reply.error) == (None, False, "connection refused")


@pytest.mark.parametrize("status", [204, 301, 404, 500])
def test_only_2xx_is_ok_and_redirects_are_not_followed(serve, status: int) -> None:
    service = serve(lambda *_: (status, b""))
    reply = Client(service.url).get("/x", 60)
    assert (reply.status, reply.ok) == (status, status == 204)
    assert len(service.requests) == 1


def test_proxies_from_the_environment_are_not_asked(serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    assert Client(serve(lambda *_: (200, b"ok")).url).get("/", 60).ok


def test_a_connection_cut_in_the_middle_is_not_tried_again() -> None:
    accepted = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def cut() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                accepted.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
                connection.close()

        threading.Thread(target=cut, daemon=True).start()
        reply = Client(f"http://127.0.0.1:{server.getsockname()[1]}").get("/", 60)
        server.shutdown(socket.SHUT_RDWR)
    assert reply.status is None
    assert "connection closed in the middle" in reply.error
    assert len(accepted) == 1


def test_a_service_that_trickles_its_answer_does_not_hold_the_check() -> None:
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def trickle() -> None:
            connection, _ = server.accept()
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 9999999\r\n\r\n")
            try:
                while not done.is_set():
                    connection.sendall(b"x" * 65536)
                    time.sleep(0.05)
            except OSError:
                pass
            connection.close()

        thread = threading.Thread(target=trickle, daemon=True)
        thread.start()
        reply = Client(f"http://127.0.0.1:{server.getsockname()[1]}").get("/", 0.3)
        done.set()
        thread.join(5)
    assert reply.status is None
    assert reply.error == "no complete answer within 0.3 s"


def test_an_answer_that_trickles_ends_with_its_time_and_not_with_its_last_byte() -> None:
    sent = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def trickle() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
                for _ in range(1000):
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        return
                    sent.append(time.sleep(0.01))

        threading.Thread(target=trickle, daemon=True).start()
        reply = Client(f"http://127.0.0.1:{server.getsockname()[1]}").get("/", 0.3)
    assert (reply.status, reply.error) == (None, "no complete answer within 0.3 s")
    assert len(sent) < 1000, "the client left before the end"
