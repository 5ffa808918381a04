"""What a cluster tells of itself as a whole: a switch once, by the process that committed it, or if it died by another.

    told/<generation>.json      subscribers have heard of this set; made when they have

A commit without that mark for a ttl is told by the first of the members that live: rather twice than never.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from modelhost.cluster.desired import Committed, Desired, DesiredLog
from modelhost.cluster.members import Beat, State
from modelhost.cluster.place import Place
from modelhost.errors import ModelHostError
from modelhost.registry.directory import utc_now
from modelhost.serving.events import Event, Events, Reach, note
from modelhost.serving.fallback import FALLBACK_VERSION
from modelhost.serving.history import Kind, Outcome, Record

_FOLDER = "told"
_KEPT_MARKS = 50
_LAST_WORD_SECONDS = 5.0
_log = logging.getLogger(__name__)


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
        self._place = place
        self._ttl = ttl
        self._clock = clock
        self._own: set[int] = set()  # told here, and not marked yet
        self._done: set[int] = set()  # marked, by whomever
        self._open: dict[int, float] = {}  # generation → since when it is known here that nobody has told of it
        self._looked = 0  # the committed generation up to which everything was told
        self._unable = 0

    # -- of the cluster --------------------------------------------------------------------------------------------

    def switched(self, goal: Committed, before: Committed | None, notes: Sequence[str] = ()) -> None:
        """All are to serve another set than `before`. Told by this process once, however often it is said."""
        if self._events is None or goal.generation in self._own | self._done:
            return
        record = replace(as_record(goal, before), notes=tuple(notes))
        if before is None and goal.kind == "promote":
            record = replace(record, kind=Kind.START)
        alert = bool(stand_ins(goal) - (stand_ins(before) if before else set()))
        self._events.publish(Event(record, alert, Reach.WHOLE))
        self._own.add(goal.generation)

    def alert(self, record: Record) -> None:
        """A switch that did not happen, and needs a person."""
        self._publish(Event(record, alert=True))

    def look(self, goal: Committed | None, is_first: Callable[[], bool]) -> None:
        """Marks what was told here, and tells what nobody told for a ttl, where this process is the one to do so.
        Never raises: what cannot be read now is looked at the next time."""
        if self._events is None or self._place is None:
            return
        try:
            self._mark(self._place)
            if goal is not None and goal.generation != self._looked:
                self._tell_untold(self._place, is_first)
        except ModelHostError as error:
            _log.debug("what was told is not known now: %s", error)

    def close(self, timeout: float = _LAST_WORD_SECONDS) -> None:
        """Waits for subscribers that are still being told, so that no other member tells it again."""
        if self._events is not None and self._place is not None and self._own:
            self._events.flush(timeout, Reach.WHOLE)
            with suppress(ModelHostError):
                self._mark(self._place)

    def _mark(self, place: Place) -> None:
        assert self._events is not None
        heard = set(self._own)
        if not heard or not self._events.flush(0.0, Reach.WHOLE):
            return
        for generation in heard:
            place.put(_key(generation), b"{}\n")
        self._done |= heard
        self._own -= heard
        for generation in sorted(_marked(place))[:-_KEPT_MARKS]:
            place.remove(_key(generation))

    def _tell_untold(self, place: Place, is_first: Callable[[], bool]) -> None:
        desired, marked = DesiredLog(place).read(), _marked(place)
        self._done |= marked
        missing = [each for each in untold(desired, marked) if each[1].generation not in self._own]
        self._open = {goal.generation: self._open.get(goal.generation, self._clock()) for _, goal in missing}
        for before, goal in missing:
            if self._clock() - self._open[goal.generation] >= self._ttl and is_first():
                self.switched(goal, before, ["whoever committed this did not tell of it"])
        if desired.committed is not None and not missing and not self._own:
            self._looked = desired.committed.generation

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


def _marked(place: Place) -> set[int]:
    stems = (name.removesuffix(".json") for name in place.names(_FOLDER))
    return {int(stem) for stem in stems if stem.isdecimal()}


def _key(generation: int) -> str:
    return f"{_FOLDER}/{generation:012d}.json"
