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
from modelhost.serving.leases import give_back, lease_all
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
                give_back(prepared.values())
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
        entries = fitting(self._serving.registry, versions)

        def ask(component: str, version: str) -> Future[Lease]:
            return course.ask(component, version, _holder(generation), patience)

        numbers = {name: entry.version for name, entry in entries.items()}
        return prepared | lease_all(self._serving.pool, numbers, ask)

    def _fallback(self, component: str) -> Loaded:
        if component not in self._fallbacks:
            raise Refused(f"this member declares no fallback for {component}", "its configuration differs from others'")
        return self._fallbacks[component]


def _holder(generation: int) -> str:
    return f"generation {generation} of the cluster"
