"""Processes of our own: whoever starts one holds it before a signal can be raised, so that none is left behind."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def child(line: Sequence[str], end: Callable[[Any], None], **options: Any) -> Iterator[Any]:
    """`subprocess.Popen(line, **options)`, which is handed to `end` when the block is left, however that comes about.

    A signal that comes while it is being started is raised once it is held. Raises OSError where it cannot be started.
    """
    process = None
    try:
        with _held_back():
            process = subprocess.Popen(line, **options)
        yield process
    finally:
        if process is not None:
            end(process)


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """What handlers would do is done at the end of the block: a handler that raises would lose what is begun in it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    before = {number: signal.signal(number, lambda *caught: came.append(caught)) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for came_number, frame in came:
            handler = before[signal.Signals(came_number)]
            if callable(handler):
                handler(came_number, frame)
            elif handler is not signal.SIG_IGN:
                signal.raise_signal(came_number)
