"""A report that is kept fresh by a thread: whoever scrapes a member waits for no registry, and learns who died.

Death is seen by looking on: an observer that looks now and then only would never know.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from modelhost.cluster.coordinator import Coordinator
from modelhost.cluster.report import Report
from modelhost.errors import ModelHostError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """The last report there was, None before the first; `away`: why there is none of this moment, or nothing."""

    report: Report | None = None
    away: str = ""


class Lookout:
    """Looks every so many seconds, from `start` to `close`; `then` is called after each look, in its thread."""

    def __init__(self, coordinator: Coordinator, seconds: float, then: Callable[[], None] = lambda: None) -> None:
        self._coordinator = coordinator
        self._seconds = seconds
        self._then = then
        self._last = Seen()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="modelhost-lookout", daemon=True)

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    @property
    def last(self) -> Seen:
        """What was seen last; asks nobody."""
        return self._last

    def look(self) -> Seen:
        """Looks now. Never raises: out of the registry's reach the last report stays, and `away` says so."""
        try:
            self._last = Seen(self._coordinator.report())
        except ModelHostError as error:
            self._last = Seen(self._last.report, str(error))
        return self._last

    def close(self, timeout: float = 10.0) -> None:
        """Ceases to look."""
        self._done.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._done.is_set():
            try:
                self.look()
                self._then()
            except Exception:  # the thread must live on
                _log.exception("the cluster was not looked at, and will be")
            self._done.wait(self._seconds)
