"""What is done now and then, in one thread: what is idle leaves memory, what the registry has is looked at anew."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from modelhost.config.model import Settings
from modelhost.errors import ModelHostError
from modelhost.host.assembly import section
from modelhost.loading.lease import Key
from modelhost.loading.pool import Pool
from modelhost.serving.serving import Serving

_log = logging.getLogger(__name__)


class Upkeep:
    """Runs `work` every `seconds`, and at once when `soon` is called, until `close`."""

    def __init__(self, work: Callable[[], object], seconds: float) -> None:
        self._work = work
        self._seconds = seconds
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="modelhost-upkeep", daemon=True)
        self._thread.start()

    def soon(self, *_: object) -> None:
        """Does not wait for the next turn; takes whatever a caller hands in, so that it may subscribe."""
        self._wake.set()

    def close(self) -> None:
        """No further turn; waits for the one in progress."""
        self._closed = True
        self._wake.set()
        self._thread.join(10.0)

    def _run(self) -> None:
        while True:
            self._wake.wait(self._seconds)
            self._wake.clear()
            if self._closed:
                return
            try:
                self._work()
            except Exception:  # the thread must live on
                _log.exception("upkeep failed, and goes on")


def sweep(pool: Pool, settings: Settings) -> list[Key]:
    """Lets leave what has been idle for longer than its component's `ttl`; returns what left."""
    left = []
    for each in pool.residents():
        ttl = section(settings, each.component).ttl
        idle = not (each.leases or each.holders or each.pinned)
        if idle and ttl is not None and each.idle_seconds >= ttl and pool.discard(each.component, each.version):
            left.append((each.component, each.version))
    return left


def pin(serving: Serving, settings: Settings, held: set[Key]) -> set[Key]:
    """Pins what serves and what is routable of the pinned components, and nothing else of `held`; returns the pins."""
    live = serving.live.serving()
    wanted: set[Key] = set()
    for name, component in settings.components.items():
        if component.pinned:
            wanted.update((name, version) for version in component.routable)
            if live is not None and name in live and not live[name].fallback:
                wanted.add((name, live.versions[name]))
    for key in held - wanted:
        serving.pool.unpin(*key)
    for key in wanted - held:
        serving.pool.pin(*key)
    return wanted


def bring(pool: Pool, named: Mapping[str, set[str]]) -> None:
    """Begins to load what rules and experiments send requests to, so that the first of them finds it there."""
    for component, versions in named.items():
        there = {each.version for each in pool.residents() if each.component == component}
        for version in versions - there:
            try:
                pool.request(component, version).add_done_callback(
                    lambda done: None if done.cancelled() or done.exception() else done.result().release()
                )
            except ModelHostError as error:
                _log.warning("%s %s is not brought into memory: %s", component, version, error)
