"""What swap, rollback and start have in common: a set is made ready beside the live one, flipped, recorded and told."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime

from modelhost.errors import (
    Conflict,
    InvalidRequest,
    ModelHostError,
    Refused,
    Superseded,
    Unauthenticated,
    Unknown,
)
from modelhost.loading.base import Loaded
from modelhost.loading.lease import Key, Lease
from modelhost.loading.pool import Pool
from modelhost.metadata import VersionInfo
from modelhost.registry.base import Entry, Registry
from modelhost.registry.mates import check_mates
from modelhost.serving.course import Course
from modelhost.serving.events import Event, Events, note
from modelhost.serving.history import History, Kind, Outcome, Record
from modelhost.serving.leases import give_back, lease_all
from modelhost.serving.live import Live, Member
from modelhost.serving.sets import spoken

Wanted = Mapping[str, Entry | Loaded]
"""A whole set: component → an entry of the registry, or a declared fallback."""

Ask = Callable[[str, str, str], Future[Lease]]
"""Component, version, holder → a lease to come."""

_REFUSALS = (Refused, Conflict, InvalidRequest, Unknown, Unauthenticated)


@dataclass(slots=True)
class Ready:
    """A set in memory that serves nobody yet. Its leases belong to whoever flips or abandons it."""

    generation: int
    expected: int
    members: dict[str, Member] = field(default_factory=dict)

    @property
    def leases(self) -> list[Lease]:
        return [each for each in self.members.values() if isinstance(each, Lease)]

    def seconds(self, started: float, flip: float, ended: float) -> dict[str, float]:
        """Parts of the switch: `load` and `warm_up` of the slowest member that this switch waited for."""
        fresh = [lease.timing for lease in self.leases if lease.fresh]
        return {
            "load": max((timing.load for timing in fresh), default=0.0),
            "warm_up": max((timing.warm_up for timing in fresh), default=0.0),
            "flip": flip,
            "total": ended - started,
        }


@dataclass(frozen=True, slots=True)
class Attempt:
    """A switch that somebody asked for, before it is known how it ends."""

    kind: Kind
    who: str
    why: str
    before: Mapping[str, str]

    def record(self, at: datetime, outcome: Outcome, generation: int, after: Mapping[str, str]) -> Record:
        """The attempt as a line of the history."""
        return Record(at, self.kind, outcome, self.who, self.why, generation, dict(self.before), dict(after))


@dataclass(frozen=True, slots=True)
class Switching:
    """The parts that a switch needs, and its steps."""

    registry: Registry
    pool: Pool
    live: Live
    history: History
    events: Events
    now: Callable[[], datetime]

    def prepare(
        self,
        wanted: Wanted,
        expected: int,
        generation: int | None = None,
        timeout: float | None = None,
        ask: Ask | None = None,
    ) -> Ready:
        """Checks that the set fits and brings its members into memory, all at once.

        After an error, what was loaded for it leaves again; after a time-out, it may be found loaded the next time.
        `expected`: the live generation that this builds on; `timeout` in seconds, then Loading. Raises InvalidRequest
        for a `generation` that is not newer, MateMismatch, and what a load raises. `ask`: what asks the pool instead.
        """
        number = expected + 1 if generation is None else generation
        if number <= expected:
            raise InvalidRequest(f"generation {number} is not newer than {expected}, which serves", "count on")
        check_fit(wanted.values(), self._known(wanted))
        ready = Ready(number, expected)
        ask = ask or self.pool.request
        ready.members |= {name: each for name, each in wanted.items() if isinstance(each, Loaded)}
        versions = {name: each.version for name, each in wanted.items() if isinstance(each, Entry)}
        ready.members |= lease_all(
            self.pool, versions, lambda name, version: ask(name, version, f"set {number}"), timeout
        )
        return ready

    def flip(self, ready: Ready, rejected: Collection[Key] = (), course: Course | None = None) -> float:
        """Lets the set serve; returns the seconds of the flip alone. Keeps nothing of it where it raises Conflict.

        `course`: what a rollback may call off until the flip.
        """

        def flip() -> float:
            return self.live.flip(ready.members, ready.generation, ready.expected, rejected)

        try:
            return flip() if course is None else course.flip(flip)
        except Conflict:
            give_back(ready.leases)
            raise

    def write(self, record: Record) -> str:
        """Adds to the history; what went wrong, or nothing."""
        return self.history.append(record)

    def tell(self, record: Record, alert: bool = False) -> None:
        """Puts the event in the subscribers' mailboxes; outside every lock."""
        self.events.publish(Event(record, alert))

    def failed(self, attempt: Attempt, wanted: Mapping[str, str], error: Exception, alert: bool = False) -> Record:
        """Records and logs a switch that did not happen, and tells of it where it is an `alert`. A start that goes on
        to another set says so when it has one."""
        outcome = Outcome.REFUSED if isinstance(error, _REFUSALS) else Outcome.FAILED
        record = attempt.record(self.now(), outcome, self.live.generation, {**attempt.before, **wanted})
        said = str(error) if isinstance(error, ModelHostError) else f"{type(error).__name__}: {error}"
        record = replace(record, error=said)
        self.write(record)
        if alert:
            self.tell(record, alert=True)
        elif attempt.kind is not Kind.START:
            note(Event(record))
        return record

    def _known(self, wanted: Wanted) -> list[VersionInfo]:
        """What the registry has, so that a misfit can say which version would fit."""
        found: list[VersionInfo] = []
        for name, each in wanted.items():
            if isinstance(each, Loaded) or not any(name in other.info.mates for other in _entries(wanted.values())):
                continue
            try:
                found += [entry.info for entry in self.registry.versions(name)]
            except ModelHostError:
                continue
        return found


def check_fit(members: Iterable[Entry | Loaded], known: Iterable[VersionInfo] = ()) -> None:
    """Raises MateMismatch where members name other mates than those in the set. A fallback fits everything."""
    members = list(members)
    stand_ins = {each.component for each in members if isinstance(each, Loaded) and each.fallback}
    infos = []
    for entry in _entries(members):
        mates = {name: digest for name, digest in entry.info.mates.items() if name not in stand_ins}
        if entry.component not in stand_ins:
            infos.append(entry.info.model_copy(update={"mates": mates}))
    check_mates(infos, known)


def demand_reason(who: str, why: str) -> None:
    """Raises InvalidRequest where a switch does not say who asks for it and why."""
    missing = " and ".join(name for name, text in (("who", who), ("why", why)) if not text.strip())
    if missing:
        raise InvalidRequest(f"a switch must say {missing}", "it is kept in the history")


def demand_generation(expected: int | None, generation: int, versions: Mapping[str, str]) -> None:
    """Raises Superseded where another generation than the expected one serves; None expects nothing."""
    if expected is not None and expected != generation:
        raise Superseded(
            f"generation {generation} serves ({spoken(versions) or 'nothing'}), and {expected} was expected",
            "somebody switched meanwhile: look at what serves before asking again",
            generation=generation,
            versions=versions,
        )


def _entries(members: Iterable[Entry | Loaded]) -> list[Entry]:
    return [each.entry if isinstance(each, Loaded) else each for each in members]
