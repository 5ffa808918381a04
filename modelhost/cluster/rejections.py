"""A version that is rejected while a cluster serves it: one message for a mark, from whichever member claims it first.

rejected/<time>-<component>-<version>.json      see `announcements`
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from modelhost.cluster.announcements import Announcements
from modelhost.cluster.desired import Committed, DesiredLog
from modelhost.cluster.place import Place
from modelhost.host.rejected import Rejections
from modelhost.serving.events import Event, Events, Reach

_FOLDER = "rejected"


class RejectionTeller:
    """Tells the subscribers of one member of rejections that nobody told of yet. `ttl` in seconds, on the `clock`."""

    def __init__(
        self,
        rejections: Rejections,
        events: Events,
        place: Place,
        ttl: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        rejections.alone = False
        self._rejections = rejections
        self._desired = DesiredLog(place)
        self._marks = Announcements(place, _FOLDER, events, Reach.HERE, ttl, clock, by_claim=True)

    def look(self, goal: Committed | None, is_first: Callable[[], bool]) -> None:
        """Tells of what is committed and rejected, where no other member does. Never raises: what cannot be read now
        is looked at the next time. `goal`: the committed set as this member knows it."""
        self._marks.look(lambda: self._untold(goal), is_first)

    def close(self) -> None:
        """Waits a while for subscribers that are still being told, so that no other member tells it again."""
        self._marks.close()

    def _untold(self, goal: Committed | None) -> Iterator[tuple[str, Event]]:
        """The marks first, then what is committed: a rollback commits before it rejects, and is no reason for one."""
        found = self._rejections.among(goal.versions) if goal is not None else []
        found = [each for each in found if not self._marks.knows(each.key)]
        committed = self._desired.read().committed if found else None
        if committed is None:
            return
        for each in found:
            if committed.versions.get(each.component) == each.mark.version:
                yield each.key, each.event(committed.generation, committed.versions)
