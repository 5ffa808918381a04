"""A rollback: to what served before and is stable, checked before the flip. What is left never comes back by itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from modelhost.errors import (
    ConfigError,
    NoRoom,
    NothingStable,
    Superseded,
)
from modelhost.loading.base import Loaded
from modelhost.loading.lease import Lease
from modelhost.registry.base import Entry
from modelhost.registry.looking import Looking
from modelhost.serving.asked import Asked, demand_sense, first_fitting, left_by, stand_ins
from modelhost.serving.course import Course, Courses
from modelhost.serving.destinations import Destinations
from modelhost.serving.events import Event, note
from modelhost.serving.history import Kind, Outcome, Record
from modelhost.serving.leases import resident
from modelhost.serving.marks import mark_rejected
from modelhost.serving.sets import ServingSet
from modelhost.serving.switching import Attempt, Ready, Switching, Wanted, check_fit, demand_generation, demand_reason

ROOM_SECONDS = 60.0  # for a load that was called off to land and leave: its thread cannot be stopped


class _Overtaken(Superseded):
    """Somebody else flipped at the last moment; it is in the history already."""


class Roller:
    """One rollback at a time; a second is refused with Conflict, so that two people do not go back twice.

    A swap that is under way is called off first, also where the rollback comes to nothing: who asks wants away from
    here. `patience`: seconds that a version may wait for the room of what was loaded for that swap.
    """

    def __init__(
        self, switching: Switching, courses: Courses, fallbacks: Mapping[str, Loaded], patience: float = ROOM_SECONDS
    ) -> None:
        wrong = [name for name, each in fallbacks.items() if not each.fallback or each.component != name]
        if wrong:
            raise ConfigError(f"declared as fallback, and not made by `fallback`: {', '.join(wrong)}")
        self._parts = switching
        self._looking = Looking(switching.registry)
        self._destinations = Destinations(self._looking, switching.history)
        self._fallbacks = dict(fallbacks)
        self._courses = courses
        self._patience = patience

    def rollback(
        self,
        component: str | None = None,
        to_version: str | None = None,
        *,
        who: str,
        reason: str,
        together: bool = False,
        to_generation: int | None = None,
        generation: int | None = None,
        expected_generation: int | None = None,
        timeout: float | None = None,
    ) -> Record:
        """Takes a component, or the whole set, back to what served before and is stable, or to what is named.

        Where nothing that served is left, an older version that somebody marked stable will do, the newest first.

        The versions left are rejected in the registry: for a component that one alone, also where its mates move
        `together` with it; for the set all that change. Repeated, it goes further back. A target that is damaged, was
        made for other libraries or cannot be loaded is passed over, said in `notes`, unless it was named. When nothing
        is left, the declared fallback serves and an alert is sent; without one, NothingStable, and all stays.

        Raises InvalidRequest, Unknown, Conflict, NothingStable, MateMismatch (the hint says which set `together` would
        go to), NoRoom, and for a named target whatever refuses it. `to_generation` names a set that served;
        `expected_generation` is what the caller has seen serve: where another does, Superseded.
        """
        parts, started = self._parts, time.perf_counter()
        asked = Asked(component, to_version, to_generation, together)
        live = parts.live.serving()
        attempt = Attempt(Kind.ROLLBACK, who, reason, dict(live.versions) if live else {})
        wanted = {component: to_version} if component and to_version else {}
        try:
            demand_reason(who, reason)
            with parts.live.lease() as serving:
                demand_generation(expected_generation, serving.generation, serving.versions)
                demand_sense(asked, serving)
                with self._courses.rollback(who, reason) as overtaken:
                    record, alert = self._rollback(asked, attempt, serving, overtaken, generation, timeout, started)
        except _Overtaken:
            raise
        except Exception as error:
            parts.failed(attempt, wanted, error, alert=isinstance(error, NothingStable))
            raise
        parts.tell(record, alert)
        return record

    def _rollback(
        self,
        asked: Asked,
        attempt: Attempt,
        serving: ServingSet,
        overtaken: Course | None,
        generation: int | None,
        timeout: float | None,
        started: float,
    ) -> tuple[Record, bool]:
        def fit(target: dict[str, str]) -> Ready:
            return self._prepare(self._verified(target, serving), serving, overtaken, generation, timeout)

        ready, passed_over = first_fitting(
            asked, lambda asked: self._destinations.of(asked, serving), fit, serving.versions
        )
        if ready is not None:
            return self._switch(asked, attempt, serving, ready, passed_over, started), False
        wanted = self._stand_ins(asked, serving, passed_over)
        ready = self._prepare(wanted, serving, overtaken, generation, timeout)
        return self._switch(asked, attempt, serving, ready, [*passed_over, "a fallback serves"], started), True

    def _prepare(
        self,
        wanted: Wanted,
        serving: ServingSet,
        overtaken: Course | None,
        generation: int | None,
        timeout: float | None,
    ) -> Ready:
        """What is in memory waits for nothing; what has to be loaded may need the room of what was called off."""
        parts = self._parts
        versions = {(name, each.version) for name, each in wanted.items() if isinstance(each, Entry)}
        if overtaken is not None and versions - resident(parts.pool):
            overtaken.let_go(self._patience)
        try:
            ask = partial(parts.pool.request, patience=self._patience)
            return parts.prepare(wanted, serving.generation, generation, timeout, ask)
        except NoRoom as error:
            if overtaken is None:
                raise
            raise NoRoom(
                f"{error.message}; {overtaken.called_off}, and what it loaded has not left within {self._patience:g} s",
                "ask again when it has, unload another version, or name one that is in memory",
                error.retry_after,
            ) from error

    def _verified(self, target: Mapping[str, str], serving: ServingSet) -> dict[str, Entry | Loaded]:
        """The set of a target; what would change has passed integrity and environment, and all fit together."""
        wanted: dict[str, Entry | Loaded] = {}
        for name, version in target.items():
            live = serving[name]
            if version == live.version:
                wanted[name] = live if live.fallback else live.entry
            else:
                wanted[name] = self._looking.find(name, version)
        check_fit(wanted.values())
        for name, version in target.items():
            if version != serving[name].version:
                wanted[name] = self._parts.pool.check(name, version)
        return wanted

    def _stand_ins(self, asked: Asked, serving: ServingSet, passed_over: list[str]) -> dict[str, Entry | Loaded]:
        """What serves, with the declared fallbacks in place of what is to be left."""
        chosen = stand_ins(asked, serving.versions, self._fallbacks, passed_over)
        staying = {name: each if each.fallback else each.entry for name, each in serving.items()}
        return {**staying, **{name: self._fallbacks[name] for name in chosen}}

    # -- going there -----------------------------------------------------------------------------------------------

    def _switch(
        self,
        asked: Asked,
        attempt: Attempt,
        serving: ServingSet,
        ready: Ready,
        passed_over: list[str],
        started: float,
    ) -> Record:
        """Users first: a line that says what begins, the flip, then the history, then the registry, whose failure
        undoes nothing. A process that dies in between has gone back: the next start reads that line and ends it."""
        parts = self._parts
        after = {n: (each.loaded if isinstance(each, Lease) else each).version for n, each in ready.members.items()}
        left = left_by(asked, attempt.before, after)
        begun = replace(
            attempt.record(parts.now(), Outcome.BEGUN, ready.generation, after),
            rejected=left,
            fallbacks=tuple(name for name, each in ready.members.items() if isinstance(each, Loaded)),
            notes=tuple(passed_over),
        )
        parts.write(begun)
        try:
            flip = parts.flip(ready, rejected=list(left.items()))
        except Superseded as error:
            refused = replace(begun, outcome=Outcome.REFUSED, error=str(error))
            parts.write(refused)
            note(Event(refused))
            raise _Overtaken(error.message, error.hint, generation=error.generation, versions=error.versions) from error
        seconds = ready.seconds(started, flip, time.perf_counter())
        record = replace(begun, at=parts.now(), outcome=Outcome.SWITCHED, seconds=seconds)
        unwritten = parts.write(record)
        for each in left.items():
            parts.pool.discard(*each)
        problems = [unwritten, *mark_rejected(parts.registry, left, attempt.who, attempt.why)]
        return replace(record, notes=(*record.notes, *(problem for problem in problems if problem)))
