"""A swap: other versions are loaded beside those that serve, warmed up, and flipped as one set."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import CancelledError
from dataclasses import replace

from modelhost.errors import InvalidRequest, Superseded, Unknown, rejected
from modelhost.loading.base import Loaded
from modelhost.registry.base import Entry, Status
from modelhost.registry.looking import Looking
from modelhost.serving.course import Course, Courses
from modelhost.serving.history import Kind, Outcome, Record
from modelhost.serving.sets import spoken
from modelhost.serving.switching import Attempt, Switching, demand_generation, demand_reason


class Swapper:
    """One swap at a time; a second is refused with Conflict. A rollback does not wait for it, and calls it off: it can
    never flip from then on, and says so to its caller with Superseded."""

    def __init__(self, switching: Switching, courses: Courses) -> None:
        self._parts = switching
        self._courses = courses

    def swap(
        self,
        changes: Mapping[str, str],
        *,
        who: str,
        why: str,
        generation: int | None = None,
        expected_generation: int | None = None,
        timeout: float | None = None,
        kind: Kind = Kind.SWAP,
        alert: str = "",
    ) -> Record:
        """Lets the versions in `changes` (component → version, or `latest`) serve; the other components stay.

        Returns the record of the switch, with `seconds`: `resolve`, `load`, `warm_up`, `flip`, and `total` from
        the call to the flip. Everything is as it was after an error: InvalidRequest, Unknown, Refused (rejected
        versions, MateMismatch, IntegrityError, EnvironmentMismatch …), Conflict, NoRoom, LoadFailed, Loading after
        `timeout` seconds. `generation`: the number of the new set, for services that agree on one.
        `expected_generation`: what the caller has seen serve; where another does, Superseded. `alert`: what a person
        has to look at with this switch: in its notes, and then it is told as an alert.
        """
        started = time.perf_counter()
        parts = self._parts
        before, expected, serving = _live(parts)
        attempt = Attempt(kind, who, why, before)
        try:
            demand_reason(who, why)
            demand_generation(expected_generation, expected, before)
            if not changes:
                raise InvalidRequest("a swap names at least one component and its version")
            with self._courses.swap(f"{spoken(changes)}, by {who}") as course:
                return self._swap(attempt, changes, serving, course, expected, generation, timeout, started, alert)
        except Exception as error:
            parts.failed(attempt, changes, error)
            raise

    def _swap(
        self,
        attempt: Attempt,
        changes: Mapping[str, str],
        serving: Mapping[str, Loaded],
        course: Course,
        expected: int,
        generation: int | None,
        timeout: float | None,
        started: float,
        alert: str,
    ) -> Record:
        parts = self._parts
        entries = {name: self._find(name, version) for name, version in changes.items()}
        notes = (alert,) if alert else ()
        after = {**attempt.before, **{name: entry.version for name, entry in entries.items()}}
        if after == attempt.before and generation is None:
            record = replace(attempt.record(parts.now(), Outcome.UNCHANGED, expected, after), notes=notes)
            parts.write(record)
            if alert:
                parts.tell(record, alert=True)
            return record
        staying = {name: each if each.fallback else each.entry for name, each in serving.items()}
        resolved = time.perf_counter()
        try:
            ready = parts.prepare({**staying, **entries}, expected, generation, timeout, course.ask)
            flip = parts.flip(ready, course=course)
        except (CancelledError, Superseded) as error:
            if not course.called_off:
                raise
            now = parts.live.serving()
            raise Superseded(
                course.called_off,
                "look at what serves before asking again",
                generation=parts.live.generation,
                versions=now.versions if now is not None else {},
            ) from error
        seconds = {"resolve": resolved - started, **ready.seconds(started, flip, time.perf_counter())}
        record = replace(
            attempt.record(parts.now(), Outcome.SWITCHED, ready.generation, after),
            seconds=seconds,
            fallbacks=tuple(name for name, each in ready.members.items() if isinstance(each, Loaded)),
            notes=notes,
        )
        if problem := parts.write(record):
            record = replace(record, notes=(*notes, problem))
        parts.tell(record, alert=bool(alert))
        return record

    def _find(self, component: str, version: str) -> Entry:
        entry = Looking(self._parts.registry).find(component, version)  # the load pulls it
        if entry.status is Status.REJECTED:
            raise rejected(component, entry.version, _last_word(self._parts, component, entry.version))
        return entry


def _live(parts: Switching) -> tuple[dict[str, str], int, Mapping[str, Loaded]]:
    """Versions, generation and members of what serves; of nothing before the first set."""
    serving = parts.live.serving()
    if serving is None:
        return {}, parts.live.generation, {}
    return dict(serving.versions), serving.generation, serving


def _last_word(parts: Switching, component: str, version: str) -> str:
    """Who rejected it, and why."""
    try:
        words = [change for change in parts.registry.log(component) if change.version == version]
    except Unknown:
        words = []
    return f"{words[-1].who} rejected it ({words[-1].why}); " if words else ""
