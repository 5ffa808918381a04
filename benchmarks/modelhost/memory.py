"""Memory of a process as its USS: what would come back if it ended, mapped weights among it, as nobody else maps them.

Shared libraries that other processes map too are not in it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

_PAUSE_SECONDS = 0.004


def uss(pid: int | None = None) -> int:
    """Bytes, of this process where none is named."""
    import psutil  # type: ignore[import-untyped, unused-ignore]

    return int(psutil.Process(pid).memory_full_info().uss)


def anonymous() -> int:
    """Bytes of this process that no file stands behind: they cannot be given back without swapping."""
    with Path("/proc/self/status").open() as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon:"))


class Peak:
    """The most that was seen of a process while `watching`; looking takes it milliseconds, so nothing is timed then."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.bytes = 0

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Looks all the time."""
        done = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(done,), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()

    def _watch(self, done: threading.Event) -> None:
        while True:
            self.bytes = max(self.bytes, uss(self._pid))
            if done.wait(_PAUSE_SECONDS):
                return
