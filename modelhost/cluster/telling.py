"""What a cluster tells of itself as a whole: a switch once, by the process that committed it, or if it died by another.

told/<generation>.json      see `announcements`
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from modelhost.cluster.announcements import Announcements
from modelhost.cluster.desired import Committed, Desired, DesiredLog
from modelhost.cluster.members import Beat, State
from modelhost.cluster.place import Place
from modelhost.registry.directory import utc_now
from modelhost.serving.events import Event, Events, Reach, note
from modelhost.serving.fallback import FALLBACK_VERSION
from modelhost.serving.history import Kind, Outcome, Record

_FOLDER = "told"
_BY_ANOTHER = "whoever committed this did not tell of it"


class Teller:
    """Tells the subscribers of one member; without `events` the log alone, and then a member tells of its commits.

    `ttl` in seconds, on the `clock`. Threads may share one.
    """

    def __init__(
        self,
        events: Events | None = None,
        place: Place | None = None,
        ttl: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._events = events
        self._switches: Announcements | None = None
        if events is not None and place is not None:
            self._switches = Announcements(place, _FOLDER, events, Reach.WHOLE, ttl, clock)
            self._desired = DesiredLog(place)
        self._looked = 0  # the committed generation up to which everything was told
        self._unable = 0

    # -- of the cluster --------------------------------------------------------------------------------------------

    def switched(self, goal: Committed, before: Committed | None, notes: Sequence[str] = ()) -> None:
        """All are to serve another set than `before`. Told by this process once, however often it is said."""
        if self._switches is not None:
            self._switches.tell(_key(goal), _event(goal, before, notes))

    def alert(self, record: Record) -> None:
        """A switch that did not happen, and needs a person."""
        self._publish(Event(record, alert=True))

    def look(self, goal: Committed | None, is_first: Callable[[], bool]) -> None:
        """Tells what nobody told for a ttl, where this process is the one to do so. Never raises: what cannot be read
        now is looked at the next time. `goal`: the committed set as this member knows it."""
        if self._switches is not None:
            self._switches.look(lambda: self._untold(goal), is_first)

    def close(self) -> None:
        """Waits a while for subscribers that are still being told, so that no other member tells it again."""
        if self._switches is not None:
            self._switches.close()

    def _untold(self, goal: Committed | None) -> Iterator[tuple[str, Event]]:
        switches = self._switches
        if switches is None or goal is None or goal.generation == self._looked:
            return
        desired = self._desired.read()
        marked = {int(key) for key in switches.marked() if key.isdecimal()}
        missing = [each for each in untold(desired, marked) if not switches.knows(_key(each[1]))]
        if desired.committed is not None and not missing:
            self._looked = desired.committed.generation
        for before, goal in missing:
            yield _key(goal), _event(goal, before, [_BY_ANOTHER])

    # -- of one member ---------------------------------------------------------------------------------------------

    def unable(self, goal: Committed | None, beat: Beat) -> None:
        """Where the member cannot load what is committed: an alert, once for a generation."""
        if goal is None or beat.state is not State.UNABLE or beat.generation != goal.generation:
            return
        if self._unable != goal.generation:
            self._unable = goal.generation
            record = replace(as_record(goal), outcome=Outcome.FAILED, before=beat.versions, error=beat.reason)
            self._publish(Event(record, alert=True, member=beat.name))

    def remembered(self, member: str, goal: Committed, away: str) -> None:
        """It starts on what was committed last as far as it knows, which may be an older version than the others'."""
        record = replace(as_record(goal), at=utc_now(), kind=Kind.START, outcome=Outcome.BEGUN, error=away)
        self._publish(Event(record, alert=True, member=member))

    def _publish(self, event: Event) -> None:
        if self._events is None:
            note(event)
        else:
            self._events.publish(event)


def untold(desired: Desired, marked: set[int]) -> Iterator[tuple[Committed | None, Committed]]:
    """Committed sets without a mark, each with the one before it, the oldest first. Of those before the first mark
    nobody knows; where there is none at all, only the last set counts."""
    sets = [*desired.previous, *([desired.committed] if desired.committed else [])]
    for before, goal in zip([None, *sets], sets, strict=False):
        known = goal.generation > min(marked) if marked else goal is desired.committed
        if known and goal.generation not in marked:
            yield before, goal


def _event(goal: Committed, before: Committed | None, notes: Sequence[str]) -> Event:
    record = replace(as_record(goal, before), notes=tuple(notes))
    if before is None and goal.kind == "promote":
        record = replace(record, kind=Kind.START)
    alert = bool(stand_ins(goal) - (stand_ins(before) if before else set()))
    return Event(record, alert, Reach.WHOLE)


def stand_ins(committed: Committed) -> set[str]:
    """Components that a fallback serves."""
    return {name for name, version in committed.versions.items() if version == FALLBACK_VERSION}


def as_record(committed: Committed, before: Committed | None = None) -> Record:
    """In the words of serving's history, whose rules for going back hold here too."""
    kind = Kind.ROLLBACK if committed.kind == "rollback" else Kind.SWAP
    return Record(
        committed.at,
        kind,
        Outcome.SWITCHED,
        committed.who,
        committed.why,
        committed.generation,
        dict(before.versions) if before else {},
        committed.versions,
        committed.rejected,
        tuple(name for name in committed.versions if name in stand_ins(committed)),
    )


def _key(goal: Committed) -> str:
    return f"{goal.generation:012d}"
