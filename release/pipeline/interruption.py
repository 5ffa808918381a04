"""Signals: the first one interrupts what can be interrupted; a shielded section finishes first."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

from release.errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Turns SIGINT, SIGTERM and SIGHUP into one `Interrupted`, raised in the main thread and never inside a shield.

    Only the first signal raises by itself: what is being cleaned up is not disturbed by an impatient second one.
    Whoever asks (`check`) hears of it until the run has taken note (`disarm`), so that code that swallows errors on
    the way cannot lose it.
    """

    def __init__(self) -> None:
        self._shields = 0
        self._armed = True
        self.signal: signal.Signals | None = None
        self.count = 0  # signals so far

    @contextlib.contextmanager
    def handling(self) -> Iterator[None]:
        """Installs the handlers for as long as the block lasts; outside the main thread it does nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def shield(self) -> Iterator[None]:
        """A section that a signal does not cut; a signal that came meanwhile is raised at its end."""
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
        self.check()

    def disarm(self) -> Interrupted | None:
        """From here on signals are remembered and raise nothing: the undo, and what comes after the commit.

        Gives what was waiting until now.
        """
        waiting = self.waiting()
        self._armed = False
        return waiting

    def check(self) -> None:
        """Raises Interrupted where a signal is waiting."""
        if self._shields == 0 and (waiting := self.waiting()) is not None:
            raise waiting

    def waiting(self) -> Interrupted | None:
        """What a signal that nobody has taken note of yet means: libraries wrap what is raised under their hands."""
        if self.signal is None or not self._armed:
            return None
        return Interrupted(f"interrupted by {self.signal.name}", hint="what this run had begun is being undone")

    def sleep(self, seconds: float) -> None:
        """Sleeps, and is cut short by a signal with Interrupted (unless disarmed)."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, 0.2))

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.signal is None:
            self.signal = signal.Signals(number)
            self.check()
