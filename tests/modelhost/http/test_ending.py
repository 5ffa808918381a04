"""A process that is told to end says so to what waits for others, and its server hears the signal as before."""

from __future__ import annotations

import signal
import socket
import threading

import pytest

from modelhost.http.ending import Ending, told
from tests.modelhost.serving.workshop import eventually


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_told_and_reaches_the_server_too(number: signal.Signals) -> None:
    server: list[int] = []

    def handler(got: int, frame: object) -> None:
        server.append(got)

    before = signal.signal(number, handler)
    try:
        ending = Ending()
        with told(ending.begin):
            assert not ending.is_begun
            signal.raise_signal(number)
            eventually(lambda: ending.is_begun)
        assert server == [number]
        assert signal.getsignal(number) is handler, "it is put back"
    finally:
        signal.signal(number, before)


def test_who_took_the_signal_meanwhile_keeps_it() -> None:
    before = signal.signal(signal.SIGTERM, lambda got, frame: None)
    try:
        with told(lambda: None):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        with told(lambda: None):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN, "where nobody handles it, nobody does"
    finally:
        signal.signal(signal.SIGTERM, before)


def test_conversations_end_with_the_process_and_those_that_are_over_are_left_alone() -> None:
    ending = Ending()
    over, stays = socket.socketpair()
    with ending.cutting(over):
        pass
    first, reads = socket.socketpair()
    reads.settimeout(60)
    with ending.cutting(reads):
        thread = threading.Thread(target=ending.begin)
        thread.start()
        assert reads.recv(1) == b""
        thread.join()
    over.sendall(b"x")
    assert stays.recv(1) == b"x"
    with ending.cutting(over):
        assert stays.recv(1) == b"", "one that begins after that ends at once"
    for each in (over, stays, first, reads):
        each.close()
