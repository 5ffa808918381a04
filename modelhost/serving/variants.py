"""The live set with other versions in some places, for one request: a version that a caller names, a routed share."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from modelhost.errors import Unknown
from modelhost.loading.base import Loaded
from modelhost.loading.lease import Lease
from modelhost.loading.pool import Pool
from modelhost.serving.live import Live
from modelhost.serving.sets import ServingSet, SetLease
from modelhost.serving.switching import check_fit

_REMEMBERED = 256  # variants whose fit was checked


class _Held:
    __slots__ = ("base", "leases")

    def __init__(self, base: SetLease, leases: list[Lease]) -> None:
        self.base = base
        self.leases = leases


class Variants:
    """Leases on the live set with `overrides` (component → canonical version); loads what is not in memory.

    The members fit together like those of any set. Their generation is that of the live set, their digest their own.
    """

    def __init__(self, live: Live, pool: Pool) -> None:
        self._live = live
        self._pool = pool
        self._lock = threading.Lock()
        self._sets: dict[tuple[str, tuple[tuple[str, str], ...]], None] = {}

    def lease(self, overrides: Mapping[str, str], wait: float | None = 0.0, base: SetLease | None = None) -> SetLease:
        """A lease on the variant. Raises Loading after `wait` seconds, MateMismatch, and what a load raises.

        `base`: on the set for which the overrides were chosen, where another may be live by now. It is given back with
        the variant; after an error it is still the caller's.
        """
        live = base or self._live.lease()
        leases: list[Lease] = []
        try:
            for component, version in self._other(overrides, live.set).items():
                leases.append(self._pool.lease(component, version, wait))
            return self._assemble(live, leases)
        except BaseException:
            _release(leases, *([] if live is base else [live]))
            raise

    async def lease_async(
        self, overrides: Mapping[str, str], wait: float | None = 0.0, base: SetLease | None = None
    ) -> SetLease:
        """`lease` for an event loop, which it never blocks."""
        live = base or self._live.lease()
        leases: list[Lease] = []
        try:
            for component, version in self._other(overrides, live.set).items():
                leases.append(await self._pool.lease_async(component, version, wait))
            return self._assemble(live, leases)
        except BaseException:
            _release(leases, *([] if live is base else [live]))
            raise

    def _other(self, overrides: Mapping[str, str], live: ServingSet) -> dict[str, str]:
        unknown = [name for name in overrides if name not in live]
        if unknown:
            raise Unknown(f"no component {unknown[0]!r} serves", f"these do: {', '.join(live)}")
        return {name: version for name, version in overrides.items() if live.versions[name] != version}

    def _assemble(self, base: SetLease, leases: list[Lease]) -> SetLease:
        if not leases:
            return base
        members: dict[str, Loaded] = {**base.set, **{lease.loaded.component: lease.loaded for lease in leases}}
        variant = ServingSet(base.set.generation, members.values())
        self._check(base.set, variant)
        return SetLease(self, variant, _Held(base, leases))

    def _check(self, live: ServingSet, variant: ServingSet) -> None:
        """Once for each variant: a check costs more than a lease."""
        key = live.digest, tuple(variant.versions.items())
        with self._lock:
            if key in self._sets:
                return
        check_fit(variant.values())
        with self._lock:
            if len(self._sets) >= _REMEMBERED:
                self._sets.clear()
            self._sets[key] = None

    def _take_back(self, lease: SetLease) -> None:
        with self._lock:
            if lease._set is None:
                return
            lease._set = None
        held = lease._held
        assert isinstance(held, _Held)
        _release(held.leases, held.base)


def _release(leases: list[Lease], *bases: SetLease) -> None:
    for lease in leases:
        lease.release()
    for base in bases:
        base.release()
