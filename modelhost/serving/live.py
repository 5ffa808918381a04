"""What serves now: one reference, flipped under one lock. The old set leaves with the last request that leased it."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping

from modelhost.errors import Superseded, Unavailable
from modelhost.loading import garbage
from modelhost.loading.base import Loaded
from modelhost.loading.lease import Key, Lease
from modelhost.loading.pool import Pool
from modelhost.serving.sets import ServingSet, SetLease

Member = Lease | Loaded
"""A leased version of the pool, or a declared fallback, which is nobody's to close."""


class _Held:
    """A set with what it holds and the count of requests in it; guarded by the lock of Live."""

    __slots__ = ("leases", "members", "serving")

    def __init__(self, serving: ServingSet, members: tuple[Lease, ...]) -> None:
        self.serving = serving
        self.members = members
        self.leases = 0

    @property
    def keys(self) -> frozenset[Key]:
        return frozenset((name, version) for name, version in self.serving.versions.items())


class Live:
    """The live set. `lease` costs about a microsecond and never waits for a load or a flip.

    `keep_previous`: the members of the set before stay in memory for a quick way back, until another set is loaded or
    somebody needs their room; otherwise they are closed when the last request has left them.
    """

    def __init__(self, pool: Pool, generation: int = 0, keep_previous: bool = False) -> None:
        self._pool = pool
        self._keep_previous = keep_previous
        self._lock = threading.Lock()
        self._held: _Held | None = None
        self._generation = generation
        self._standby: frozenset[Key] = frozenset()
        self._leaving: set[_Held] = set()

    @property
    def generation(self) -> int:
        """The number of the last flip; of the last one before a restart while nothing serves."""
        return self._generation

    def serving(self) -> ServingSet | None:
        """What serves, to look at, or None where nothing does."""
        held = self._held
        return None if held is None else held.serving

    def current(self) -> ServingSet:
        """What serves, to look at; use it only under a lease. Raises Unavailable where nothing serves yet."""
        held = self._held
        if held is None:
            raise Unavailable("nothing serves yet", "the service is starting")
        return held.serving

    def lease(self) -> SetLease:
        """The live set, for one request. Raises Unavailable where nothing serves yet."""
        with self._lock:
            held = self._held
            if held is None:
                raise Unavailable("nothing serves yet", "the service is starting")
            held.leases += 1
        return SetLease(self, held.serving, held)

    def _take_back(self, lease: SetLease) -> None:
        with self._lock:
            if lease._set is None:
                return
            lease._set = None
            held = lease._held
            assert isinstance(held, _Held)
            held.leases -= 1
            drained = held.leases == 0 and held is not self._held
        if drained:
            self._drain(held)

    def flip(
        self, members: Mapping[str, Member], generation: int, expected: int, rejected: Collection[Key] = ()
    ) -> float:
        """Makes the members the live set, all at once; returns the seconds that took.

        Raises Superseded where the live generation is not `expected`: somebody else was faster; the members are then
        still the caller's. What is `rejected` is not kept for a way back.
        """
        loaded = [each.loaded if isinstance(each, Lease) else each for each in members.values()]
        leases = tuple(each for each in members.values() if isinstance(each, Lease))
        new = _Held(ServingSet(generation, loaded), leases)
        if self._held is None:
            garbage.settle()
        started = time.perf_counter()
        with self._lock:
            if self._generation != expected:
                raise Superseded(
                    f"generation {self._generation} serves by now, this switch began at {expected}",
                    "look at what serves, and ask again",
                    generation=self._generation,
                    versions=self._held.serving.versions if self._held is not None else {},
                )
            old, self._held, self._generation = self._held, new, generation
            seconds = time.perf_counter() - started
            forgotten = self._standby - new.keys
            self._standby = frozenset()
            if old is not None and self._keep_previous:
                self._standby = old.keys - new.keys - frozenset(rejected)
            self._pool.spare(self._standby)
            if old is not None:
                self._leaving.add(old)
            drained = old is not None and old.leases == 0
        if old is not None and drained:
            self._drain(old)
        for key in forgotten - self._standby:
            self._pool.discard(*key)
        return seconds

    def keep_previous(self, keep: bool) -> None:
        """Whether the set before stays, from now on; what was kept leaves at once where it is not to."""
        with self._lock:
            self._keep_previous = keep
            gone = frozenset() if keep else self._standby
            if gone:
                self._standby = frozenset()
                self._pool.spare(())
        for key in gone:
            self._pool.discard(*key)

    def leaving(self) -> list[ServingSet]:
        """Sets that serve no new request, and still some old one."""
        with self._lock:
            return sorted((held.serving for held in self._leaving), key=lambda each: each.generation)

    def close(self) -> None:
        """No lease from now on; what serves leaves with its last request."""
        with self._lock:
            old, self._held = self._held, None
            self._standby = frozenset()
            if old is not None:
                self._leaving.add(old)
            drained = old is not None and old.leases == 0
        if old is not None and drained:
            self._drain(old)

    def _drain(self, held: _Held) -> None:
        """Gives the members of a set back that nobody uses any more; once, whoever comes first."""
        with self._lock:
            if held not in self._leaving:
                return
            self._leaving.remove(held)
            standby = self._standby
        for lease in held.members:
            lease.release(leave=(lease.loaded.component, lease.loaded.version) not in standby)
        with self._lock:
            forgotten = held.keys & standby - self._standby  # a flip meanwhile: it found them in use
        for key in forgotten:
            self._pool.discard(*key)
