"""Promote: propose a set, wait until all living members have loaded it, commit it; or abort it for all.

Whoever calls promote is its coordinator. If that one dies, the proposal is abandoned, and a member or the next
coordinator aborts it; a coordinator that was only asleep finds that somebody was faster.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from modelhost.cluster.desired import Committed, Desired, DesiredLog
from modelhost.cluster.fit import fitting
from modelhost.cluster.holds import Holds
from modelhost.cluster.members import Members
from modelhost.cluster.place import Place
from modelhost.cluster.promotion import Parts, Promotion
from modelhost.cluster.proposals import Proposals, why_abandoned
from modelhost.cluster.report import Report, report
from modelhost.cluster.returns import Check, Returns, Switch
from modelhost.cluster.telling import Teller
from modelhost.cluster.timings import Timings
from modelhost.errors import Conflict, InvalidRequest
from modelhost.registry.base import Registry
from modelhost.registry.directory import utc_now
from modelhost.serving.asked import Asked
from modelhost.serving.fallback import FALLBACK_VERSION
from modelhost.serving.marks import mark_stable
from modelhost.serving.sets import spoken
from modelhost.serving.switching import demand_generation, demand_reason


class Coordinator:
    """Changes what a cluster is to serve, and looks at it. Needs no member in its process; threads may share one.

    `fallbacks`: components for which every member declares one; `teller`: whose subscribers hear of what is done here;
    `check`: that of the pool in this process, which a rollback's target has to pass, by default that of the files.
    `hold` and `let_go` are those of Holds.
    """

    def __init__(
        self,
        place: Place,
        registry: Registry,
        timings: Timings | None = None,
        *,
        fallbacks: Collection[str] = (),
        teller: Teller | None = None,
        check: Check | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.registry = registry
        times = timings or Timings()
        self._parts = Parts(place, DesiredLog(place), Members(place, times.ttl, clock), times, clock, now, sleep)
        self._teller = teller or Teller()
        self._returns = Returns(registry, self._parts, fallbacks, self._teller, check)
        holds = Holds(self._parts)
        self.hold, self.let_go = holds.hold, holds.let_go

    def report(self, patience: float = 0.0) -> Report:
        """Who serves what. A coordinator that has looked before knows who lives; with `patience`, in seconds, it looks
        on until it knows of all, which a ttl is enough for."""
        return self._watch(lambda found: all(row.living is not None for row in found.members), patience)

    def served(self, generation: int, patience: float) -> Report:
        """The report once all living members serve a committed generation and are ready, or another is committed, or
        after `patience` seconds: look at its `generation` and `behind`."""
        return self._watch(lambda found: found.generation != generation or not found.behind, patience)

    def is_first(self, key: str) -> bool:
        """Whether this member is the first of those that live: the one that does what a dead coordinator left undone.
        Two may think so for a moment."""
        return key == min((seen.beat.key for seen in self._parts.members.observe() if seen.living), default="")

    def _watch(self, enough: Callable[[Report], bool], patience: float) -> Report:
        parts = self._parts
        deadline = parts.clock() + patience
        while True:
            found = report(parts.log.read(), parts.members.observe())
            if enough(found) or parts.clock() >= deadline:
                return found
            parts.sleep(parts.timings.poll)

    def found(self, versions: Mapping[str, str], *, who: str, why: str, above: int = 0) -> Committed:
        """What a new cluster is to serve first: component → version, or `latest`. Without a barrier, as nothing serves.
        Of several who ask at once one decides; where a set is committed already, that one is returned. Waits for the
        end of a first promotion: start this process's follower before, which that may wait for. `above`: the generation
        that served here last."""
        demand_reason(who, why)
        while True:
            desired = self._parts.log.read()
            if desired.committed is not None:
                return desired.committed
            if desired.proposal is not None:
                self._parts.sleep(self._parts.timings.poll)
                continue
            founded = desired.found(self._fitting(versions), who, why, self._parts.now(), above)
            try:
                self._parts.log.write(founded)
            except Conflict:
                continue
            assert founded.committed is not None
            self._teller.switched(founded.committed, None)
            return founded.committed

    def promote(
        self,
        changes: Mapping[str, str],
        *,
        who: str,
        why: str,
        patience: float | None = None,
        at_least: int = 1,
        expected_generation: int | None = None,
    ) -> Switch:
        """Lets all members serve the versions in `changes` (component → version, or `latest`), with what is committed
        for the others, and before the first commit with what all members serve. Returns the committed set, what was
        promoted marked stable, as soon as all living members have loaded it and may flip.

        `patience`: seconds that loading may take. `at_least`: so many members must have loaded it; 0 lays down what
        later ones are to start with. `expected_generation`: what the caller takes for committed; where another is,
        Superseded. Nothing has changed after an error: InvalidRequest, Unknown, Refused and its kin, Conflict (another
        is under way, or was faster), LoadFailed (a member cannot load it), Unavailable (not in time),
        RegistryUnavailable. A set that is committed already stays as it is, and nobody is told of it.
        """
        demand_reason(who, why)
        if not changes or FALLBACK_VERSION in changes.values():
            raise InvalidRequest("a promotion names at least one component, and a version of it in the registry")
        desired = self._without_abandoned(who)
        demand_committed(expected_generation, desired)
        versions = self._resolve(changes, desired)
        if desired.committed is not None and desired.committed.versions == versions:
            notes = self._mark_stable({name: versions[name] for name in changes}, who, why)
            return Switch(desired.committed, desired.committed, notes)
        parts = self._parts
        span = parts.timings.patience if patience is None else patience
        highest = max((seen.beat.serves for seen in parts.members.observe()), default=0)
        proposed = desired.propose(versions, who, why, parts.now(), span, highest)
        self._propose(proposed, expected_generation)
        committed = Promotion(parts, proposed, parts.clock() + span, at_least).run()
        self._teller.switched(committed, proposed.committed)
        return Switch(committed, proposed.committed, self._mark_stable(committed.versions, who, why))

    def rollback(
        self,
        component: str | None = None,
        to_version: str | None = None,
        *,
        who: str,
        reason: str,
        together: bool = False,
        to_generation: int | None = None,
        expected_generation: int | None = None,
    ) -> Switch:
        """Takes a component, or the whole set, back to what was committed before and is stable, or to what is named:
        `demand_way_back` says what may be. What does not pass `check` is passed over, or refused where it was named.

        Without a barrier: members that hold the old set flip as soon as they look, the others are not ready until they
        serve it. Overtakes a promotion. The versions left are rejected: for a component that one alone, also where its
        mates move `together` with it. Repeated, it goes further back; when nothing is left, to declared fallbacks.
        `expected_generation`: what the caller takes for committed; where another is, Superseded.
        Nothing has changed after an error: InvalidRequest, Unknown, Refused, MateMismatch, NothingStable, Conflict,
        RegistryUnavailable.
        """
        demand_reason(who, reason)
        asked = Asked(component, to_version, to_generation, together)
        return self._returns.go(asked, who, reason, expected_generation)

    def _propose(self, proposed: Desired, expected_generation: int | None) -> None:
        """Raises Superseded rather than a mere Conflict where somebody committed another set meanwhile."""
        try:
            self._parts.log.write(proposed)
        except Conflict:
            demand_committed(expected_generation, self._parts.log.read())
            raise

    def _resolve(self, changes: Mapping[str, str], desired: Desired) -> dict[str, str]:
        staying = desired.committed.versions if desired.committed else self._served_by_all(changes)
        return self._fitting({**staying, **changes})

    def _served_by_all(self, changes: Mapping[str, str]) -> dict[str, str]:
        """What members that began by themselves serve beside what changes; they must agree on that."""
        sets: list[dict[str, str]] = []
        for seen in self._parts.members.observe():
            others = {name: version for name, version in seen.beat.versions.items() if name not in changes}
            if seen.living and seen.beat.versions and others not in sets:
                sets.append(others)
        if len(sets) > 1:
            raise InvalidRequest(
                f"nothing was committed yet, and the members serve {' and '.join(map(spoken, sets))}",
                "name a version of every component",
            )
        return sets[0] if sets else {}

    def _fitting(self, versions: Mapping[str, str]) -> dict[str, str]:
        """The whole set, in numbers; what is damaged at the registry is found before anybody is asked to load it."""
        entries = fitting(self.registry, versions)
        for each in entries.values():
            self.registry.find(each.component, each.version)
        return {name: entries[name].version if name in entries else each for name, each in sorted(versions.items())}

    def _mark_stable(self, versions: Mapping[str, str], who: str, why: str) -> tuple[str, ...]:
        """What was promoted may be gone back to. Returns what could not be marked, in words: the set is committed."""
        published = {name: version for name, version in versions.items() if version != FALLBACK_VERSION}
        return tuple(mark_stable(self.registry, published, who, why))

    def _without_abandoned(self, who: str) -> Desired:
        """The state, after a proposal that nobody stands behind was aborted. Raises Conflict where somebody does."""
        parts = self._parts
        proposals = Proposals(parts.place, parts.timings.ttl, parts.clock)
        while True:
            desired = parts.log.read()
            if desired.proposal is None:
                return desired
            abandoned = proposals.is_abandoned(desired.proposal)
            if abandoned is False:
                raise desired.is_busy()
            if abandoned is None:
                parts.sleep(parts.timings.poll)
                continue
            aborted = desired.abort(who, why_abandoned(desired, parts.timings.ttl), parts.now())
            try:
                parts.log.write(aborted)
            except Conflict:
                continue
            proposals.done(desired.proposal.generation)
            return aborted


def demand_committed(expected: int | None, desired: Desired) -> None:
    """Raises Superseded where another generation is committed than the expected one; 0 stands for none."""
    goal = desired.committed
    demand_generation(expected, goal.generation if goal else 0, goal.versions if goal else {})
