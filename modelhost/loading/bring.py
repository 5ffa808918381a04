"""The way of one version into memory: found, checked, room reserved, loaded, warmed up; or undone as a whole."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from modelhost.errors import ConfigError, rejected
from modelhost.loading.base import Loaded, Loader, Placement
from modelhost.loading.lease import Key, Timing
from modelhost.loading.memory import Reservation
from modelhost.registry.base import Entry, Registry, Status

Check = Callable[[Entry], None]
"""Raises Refused where a version must not be loaded."""

Reserve = Callable[[int, str, str], Reservation]
"""Bytes, holder, device → a reservation, making room for it. Raises NoRoom."""

Settle = Callable[[Reservation, int], None]
"""Corrects a reservation to the real size, making room for a difference. Raises NoRoom."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Brought:
    """A version that is ready to serve, and what it holds."""

    loaded: Loaded
    reservation: Reservation
    timing: Timing


@dataclass(frozen=True, slots=True)
class Bringer:
    """Brings versions into memory. Any exception means that nothing of the version is left there."""

    registry: Registry
    loaders: Mapping[str, Loader]
    placement: Callable[[Entry], Placement]
    checks: Sequence[Check]

    def bring(self, key: Key, reserve: Reserve, settle: Settle) -> Brought:
        """Checks and loads one version. Raises what the registry, the checks, the loader and the budget raise."""
        started = time.perf_counter()
        entry = self.registry.find(*key)
        self.check(entry)
        loader, placement = self._loader(entry), self.placement(entry)
        name = f"{entry.component} {entry.version}"
        reservation = reserve(loader.estimate(entry, placement), name, placement.device)
        try:
            loaded = loader.load(entry, placement)
            try:
                settle(reservation, loaded.bytes)
                warming = time.perf_counter()
                loader.warm_up(loaded)
            except BaseException:
                close(loaded)
                raise
        except BaseException:
            reservation.release()
            raise
        return Brought(loaded, reservation, Timing(warming - started, time.perf_counter() - warming))

    def check(self, entry: Entry) -> None:
        """Raises Refused for a rejected version, and what the checks raise."""
        if entry.status is Status.REJECTED:
            raise rejected(entry.component, entry.version)
        for check in self.checks:
            check(entry)

    def _loader(self, entry: Entry) -> Loader:
        loader = self.loaders.get(entry.info.loader)
        if loader is None:
            known = ", ".join(sorted(self.loaders)) or "none"
            raise ConfigError(
                f"{entry.component} {entry.version} wants the loader {entry.info.loader!r}, which this service lacks",
                f"loaders here: {known}",
            )
        return loader


def close(loaded: Loaded) -> None:
    """Frees it; a close that raises is logged, because whoever waits for the memory can do nothing about it."""
    try:
        loaded.close()
    except Exception:
        _log.exception("%s %s did not close cleanly", loaded.component, loaded.version)
