"""SIGHUP reloads the configuration. The handler only says so; a thread of its own does the work."""

from __future__ import annotations

import logging
import queue
import signal
import threading
from collections.abc import Callable
from typing import Protocol

_log = logging.getLogger(__name__)


class Reloadable(Protocol):
    """A configuration, or what holds one."""

    def reload(self, who: str) -> object:
        """Reads it again. Never raises."""


def reload_on_hangup(configuration: Reloadable) -> Callable[[], None]:
    """From now on SIGHUP reloads; the function that is returned ends that and puts the handler before back.

    Both are called in the main thread, as Python demands of signals.
    """
    # SimpleQueue.put may interrupt itself: the one thing here that a signal handler may call.
    asked: queue.SimpleQueue[bool] = queue.SimpleQueue()
    before = signal.signal(signal.SIGHUP, lambda number, frame: asked.put(True))
    worker = threading.Thread(target=_reload, args=(configuration, asked), name="modelhost-reload", daemon=True)
    worker.start()

    def stop() -> None:
        signal.signal(signal.SIGHUP, before if before is not None else signal.SIG_DFL)
        asked.put(False)
        worker.join()

    return stop


def _reload(configuration: Reloadable, asked: queue.SimpleQueue[bool]) -> None:
    while asked.get():
        try:
            configuration.reload("SIGHUP")
        except Exception:  # the next signal must be heard
            _log.exception("a reload by SIGHUP did not end")
