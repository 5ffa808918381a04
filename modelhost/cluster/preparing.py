"""A set in a member's memory, beside the one that serves: brought there, let go, or flipped to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future

from modelhost.cluster.fit import fitting
from modelhost.errors import Refused
from modelhost.loading.base import Loaded
from modelhost.loading.lease import Lease
from modelhost.serving.course import Course
from modelhost.serving.fallback import FALLBACK_VERSION
from modelhost.serving.live import Member
from modelhost.serving.serving import Serving

Prepared = dict[str, Member]
"""Component → its lease, or its fallback; whoever has it flips or lets go."""


class Preparing:
    """Brings sets into the memory of one service. `fallbacks`: what it declares, made by `fallback`."""

    def __init__(self, serving: Serving, fallbacks: Iterable[Loaded] = ()) -> None:
        self._serving = serving
        self._fallbacks = {each.component: each for each in fallbacks}

    def course(self, generation: int) -> Course:
        """For a set that is to be prepared: what calls it off, from another thread."""
        return Course(self._serving.pool, _holder(generation))

    def held(self, versions: Mapping[str, str], generation: int) -> Prepared | None:
        """The set, where all of it is in memory already; asks no registry."""
        prepared: Prepared = {}
        for name, version in versions.items():
            member: Member | None
            if version == FALLBACK_VERSION:
                member = self._fallbacks.get(name)
            else:
                member = self._serving.pool.try_lease(name, version, _holder(generation))
            if member is None:
                let_go(prepared)
                return None
            prepared[name] = member
        return prepared

    def prepare(self, versions: Mapping[str, str], generation: int, course: Course, patience: float) -> Prepared:
        """Checks that the set fits together and loads it, for as long as that takes. `patience`: seconds that a version
        may wait for the room of what leaves, or was called off and has to land first.

        Raises what a load raises, and CancelledError or Superseded where the course was called off; then what was
        loaded for the set leaves again, what still loads as soon as it has landed.
        """
        prepared: Prepared = {name: self._fallback(name) for name, each in versions.items() if each == FALLBACK_VERSION}
        pool = self._serving.pool
        requested: dict[str, Future[Lease]] = {}
        try:
            entries = fitting(self._serving.registry, versions)
            there = {(each.component, each.version) for each in pool.residents()}
            # what is there first: a load for a set makes those leave that were kept for a way back
            for name in sorted(entries, key=lambda name: (name, entries[name].version) not in there):
                requested[name] = course.ask(name, entries[name].version, _holder(generation), patience)
            for name, future in requested.items():
                prepared[name] = future.result()
        except BaseException:
            for future in requested.values():
                if not pool.abandon(future):
                    future.add_done_callback(_leave)
            raise
        return prepared

    def _fallback(self, component: str) -> Loaded:
        if component not in self._fallbacks:
            raise Refused(f"this member declares no fallback for {component}", "its configuration differs from others'")
        return self._fallbacks[component]


def let_go(prepared: Prepared) -> None:
    """Gives the set back; what was loaded for it alone leaves memory."""
    for member in prepared.values():
        if isinstance(member, Lease):
            member.release(leave=member.fresh)


def _holder(generation: int) -> str:
    return f"generation {generation} of the cluster"


def _leave(done: Future[Lease]) -> None:
    if not done.cancelled() and done.exception() is None:
        lease = done.result()
        lease.release(leave=lease.fresh)
