"""A version that is rejected while a cluster serves it: one message for a mark, from whichever member claims it first.

    rejected/<time>-<component>-<version>.json      made by the one that tells; `told` when subscribers have heard

A claim that is not `told` for a ttl is that of a member that died: the first of those that live tells, rather twice
than never.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress

from modelhost.cluster.desired import Committed, DesiredLog
from modelhost.cluster.place import Place
from modelhost.errors import ModelHostError
from modelhost.host.rejected import Rejected, Rejections
from modelhost.serving.events import Events, Reach

_FOLDER = "rejected"
_CLAIMED, _TOLD = b'{"told": false}\n', b'{"told": true}\n'
_KEPT = 50
_LAST_WORD_SECONDS = 5.0
_log = logging.getLogger(__name__)


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
        self._events = events
        self._place = place
        self._ttl = ttl
        self._clock = clock
        self._own: set[str] = set()  # told here, and not marked yet
        self._done: set[str] = set()  # marked, by whomever
        self._open: dict[str, float] = {}  # claimed by another, who has not told: since when that is known here

    def look(self, goal: Committed | None, is_first: Callable[[], bool]) -> None:
        """Tells of what is committed and rejected, where no other member does. Never raises: what cannot be read now
        is looked at the next time. `goal`: the committed set as this member knows it."""
        try:
            self._mark()
            if goal is not None and any(each.key not in self._done for each in self._rejections.among(goal.versions)):
                self._tell(is_first)
        except ModelHostError as error:
            _log.debug("what is rejected is not known now: %s", error)

    def close(self, timeout: float = _LAST_WORD_SECONDS) -> None:
        """Waits for subscribers that are still being told, so that no other member tells it again."""
        if self._own:
            self._events.flush(timeout, Reach.HERE)
            with suppress(ModelHostError):
                self._mark()

    def _tell(self, is_first: Callable[[], bool]) -> None:
        goal = DesiredLog(self._place).read().committed  # a rollback commits before it rejects
        if goal is None:
            return
        for each in self._rejections.among(goal.versions):
            if each.key in self._own | self._done or not self._is_mine(each, is_first):
                continue
            self._events.publish(each.event(goal.generation, goal.versions))
            self._own.add(each.key)

    def _is_mine(self, each: Rejected, is_first: Callable[[], bool]) -> bool:
        """Whether to tell is left to this member: it came first, or who did has died."""
        if self._place.create(_key(each.key), _CLAIMED):
            return True
        if self._place.read(_key(each.key)) == _TOLD:
            self._done.add(each.key)
            return False
        since = self._open.setdefault(each.key, self._clock())
        return self._clock() - since >= self._ttl and is_first()

    def _mark(self) -> None:
        """The place knows what subscribers have heard of here."""
        heard = set(self._own)
        if not heard or not self._events.flush(0.0, Reach.HERE):
            return
        for key in heard:
            self._place.put(_key(key), _TOLD)
        self._done |= heard
        self._own -= heard
        for name in self._place.names(_FOLDER)[:-_KEPT]:
            self._place.remove(f"{_FOLDER}/{name}")


def _key(key: str) -> str:
    return f"{_FOLDER}/{key}.json"
