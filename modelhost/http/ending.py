"""The end of a process, before its server has answered the last request: a conversation with other processes goes on no
longer, since the server waits for whoever reads from it. A cluster's promotion is none: a server that ends waits
for it, `patience` at most."""

from __future__ import annotations

import logging
import queue
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_log = logging.getLogger(__name__)


class Ending:
    """Whether this process was asked to end, and the conversations that are cut off by it."""

    def __init__(self) -> None:
        self._begun = threading.Event()
        self._lock = threading.Lock()
        self._talks: set[socket.socket] = set()

    @property
    def is_begun(self) -> bool:
        """No conversation begins from then on."""
        return self._begun.is_set()

    def begin(self) -> None:
        """Whoever reads from a conversation finds its end, here and at the other side. Repeatable."""
        self._begun.set()
        with self._lock:
            for talk in self._talks:
                _cut(talk)

    @contextmanager
    def cutting(self, *talks: socket.socket) -> Iterator[None]:
        """These end with the process, as long as the block goes on."""
        with self._lock:
            self._talks.update(talks)
        try:
            if self.is_begun:
                self.begin()
            yield
        finally:
            with self._lock:
                self._talks.difference_update(talks)


@contextmanager
def told(begin: Callable[[], None]) -> Iterator[None]:
    """Calls `begin`, in a thread of its own, when a signal asks this process to end; what the server does about it is
    done as before. Signals are left alone outside the main thread, and where nobody handles them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # SimpleQueue.put may interrupt itself: the one thing here that a signal handler may call.
    asked: queue.SimpleQueue[bool] = queue.SimpleQueue()
    thread = threading.Thread(target=_wait, args=(asked, begin), name="modelhost-ending", daemon=True)
    thread.start()
    ends = [end for each in _SIGNALS if (end := _handled(each, asked)) is not None]
    try:
        yield
    finally:
        for end in reversed(ends):
            end()
        asked.put(False)
        thread.join()


def _handled(number: signal.Signals, asked: queue.SimpleQueue[bool]) -> Callable[[], None] | None:
    before = signal.getsignal(number)
    if not callable(before):
        return None
    next_one = before

    def handle(got: int, frame: FrameType | None) -> None:
        asked.put(True)
        next_one(got, frame)

    def put_back() -> None:
        if signal.getsignal(number) is handle:
            signal.signal(number, next_one)

    signal.signal(number, handle)
    return put_back


def _wait(asked: queue.SimpleQueue[bool], begin: Callable[[], None]) -> None:
    while asked.get():
        try:
            begin()
        except Exception:  # the next signal must be heard
            _log.exception("not everything was told that this process ends")


def _cut(talk: socket.socket) -> None:
    with suppress(OSError):  # it is at its end
        talk.shutdown(socket.SHUT_RDWR)
