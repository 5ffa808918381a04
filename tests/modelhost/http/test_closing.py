"""Who sends more than is taken gets a 413: and keeps the connection where it was a little, and loses it where it was
much."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator

import pytest
import requests

from modelhost.http import closing
from modelhost.http.closing import EXCESS_BYTES, LINGER_BYTES
from tests.modelhost.http.site import Site

MOST = 1 << 20
INFER = "/v2/models/model/infer"
SECONDS = 60
PIECE = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
ENOUGH = 1 << 30  # a server that reads this reads on for ever


@pytest.fixture
def limited(site: Site) -> Site:
    site.pair("1.1.0")
    site.start(most_bytes=MOST)
    return site


def test_a_small_excess_is_a_413_and_the_connection_stays(limited: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "EXCESS_SECONDS", SECONDS)  # a busy machine may take long to send it
    connection = http.client.HTTPConnection("127.0.0.1", limited.port, timeout=SECONDS)
    for size in (MOST + 1, MOST + EXCESS_BYTES // 2):
        connection.request("POST", INFER, b"x" * size)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["kind"]) == (413, "TooLarge")
        assert answer.getheader("Connection") is None
    kept = connection.sock
    connection.request("GET", "/v2/health/live")
    assert connection.getresponse().status == 200
    assert connection.sock is kept
    connection.close()


def test_what_is_announced_as_much_too_large_is_refused_before_it_is_sent(limited: Site) -> None:
    with socket.create_connection(("127.0.0.1", limited.port), timeout=SECONDS) as caller:
        announced = b"POST %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
        caller.sendall(announced % (INFER.encode(), 10 << 30))
        said = b"".join(_read_on(caller))
    assert said.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close\r\n" in said.lower()
    assert b'"kind":"TooLarge"' in said


def test_who_sends_a_little_too_much_and_waits_has_an_answer(limited: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "EXCESS_SECONDS", 0.1)
    with socket.create_connection(("127.0.0.1", limited.port), timeout=SECONDS) as caller:
        announced = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
        caller.sendall(announced % (INFER.encode(), MOST + 1000) + b"x" * (MOST + 1))
        said = b"".join(_read_on(caller))
    assert said.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close\r\n" in said.lower()


def test_who_sends_without_end_is_answered_and_then_cut_off(limited: Site) -> None:
    with socket.create_connection(("127.0.0.1", limited.port), timeout=SECONDS) as caller:
        caller.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % INFER.encode())
        sent = 0
        with pytest.raises(OSError) as cut:
            while sent < ENOUGH:
                caller.sendall(PIECE)
                sent += len(PIECE)
    assert isinstance(cut.value, ConnectionError), cut.value
    assert sent > MOST


def test_who_sends_much_too_much_before_it_reads_has_the_answer_all_the_same(
    limited: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing, "LINGER_SECONDS", SECONDS)  # a busy machine may take longer than a moment to send it
    answer = requests.post(f"http://127.0.0.1:{limited.port}{INFER}", data=b"x" * (LINGER_BYTES // 2), timeout=SECONDS)
    assert (answer.status_code, answer.headers["Connection"]) == (413, "close")
    assert answer.json()["error"] == f"the body is larger than {MOST} bytes; send less at once"


def _read_on(caller: socket.socket) -> Iterator[bytes]:
    while part := caller.recv(1 << 16):
        yield part
