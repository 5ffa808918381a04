"""The terminal's echo of Ctrl-C: `^C` in the middle of a moving display would shift it by a line."""

from __future__ import annotations

import contextlib
import sys
from typing import Any


class Echo:
    """`hush()` turns the echo of control keys off, `restore()` puts back what was; without a terminal neither acts."""

    def __init__(self) -> None:
        self._before: list[Any] | None = None

    def hush(self) -> None:
        import termios

        with contextlib.suppress(termios.error, OSError, ValueError, AttributeError):
            descriptor = sys.stdin.fileno()
            before = termios.tcgetattr(descriptor)
            quiet = list(before)
            quiet[3] &= ~termios.ECHOCTL
            termios.tcsetattr(descriptor, termios.TCSANOW, quiet)
            self._before = before

    def restore(self) -> None:
        import termios

        before, self._before = self._before, None
        if before is not None:
            with contextlib.suppress(termios.error, OSError, ValueError):
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, before)
