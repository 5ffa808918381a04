"""What is told once in a cluster: the subscribers of one member hear of it, and a mark in the place says so to all.

    <folder>/<key>.json      made when subscribers have heard; or before, as a claim, by the first that means to tell

Who tells without a mark for a ttl has died: the first of the members that live tells instead, rather twice than never.
While the place is out of reach nobody can mark, so that the ttl begins anew when it is back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from modelhost.cluster.place import Place
from modelhost.errors import ModelHostError
from modelhost.serving.events import Event, Events, Reach

_CLAIMED, _HEARD = b'{"told": false}\n', b'{"told": true}\n'
_SUFFIX = ".json"
_KEPT_MARKS = 50
_LAST_WORD_SECONDS = 5.0
_log = logging.getLogger(__name__)


class Announcements:
    """Those of one kind and one member. Keys sort by time. Threads may share one.

    `reach`: that of the events; `ttl` in seconds, on the `clock`. `by_claim`: whichever member is first to claim one
    tells it; else that is left to whoever calls `tell`, and the others only stand in for it.
    """

    def __init__(
        self,
        place: Place,
        folder: str,
        events: Events,
        reach: Reach,
        ttl: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        by_claim: bool = False,
    ) -> None:
        self._place = place
        self._folder = folder
        self._events = events
        self._reach = reach
        self._ttl = ttl
        self._clock = clock
        self._by_claim = by_claim
        self._known: set[str] = set()  # told here, or heard of elsewhere
        self._unmarked: set[str] = set()  # told here, and no mark says so yet
        self._untold: dict[str, float] = {}  # → since when it is known here that no mark says so
        self._lock = threading.Lock()

    def tell(self, key: str, event: Event) -> None:
        """Publishes the event, once in this process, however often it is said."""
        with self._lock:
            if key in self._known:
                return
            self._known.add(key)
            self._untold.pop(key, None)
        self._events.publish(event)
        with self._lock:
            self._unmarked.add(key)  # not before: a mark says that it was heard

    def knows(self, key: str) -> bool:
        """Whether it was told here, or is known to have been told elsewhere."""
        return key in self._known

    def marked(self) -> set[str]:
        """What the place has a mark of, or a claim. Raises RegistryUnavailable."""
        return {name.removesuffix(_SUFFIX) for name in self._place.names(self._folder)}

    def look(self, untold: Callable[[], Iterable[tuple[str, Event]]], is_first: Callable[[], bool]) -> None:
        """Marks what was heard here, and tells what is left to this member of `untold`: key and event of what, as far
        as this process knows, nobody told. `is_first`: whether it is the first of those that live.

        Never raises for a place out of reach: the next look does it.
        """
        try:
            self._mark()
            for key, event in untold():
                if not self.knows(key) and self._is_left_to_me(key, is_first):
                    self.tell(key, event)
        except ModelHostError as error:
            self._untold.clear()
            _log.debug("what was told of %s is not known now: %s", self._folder, error)

    def close(self, timeout: float = _LAST_WORD_SECONDS) -> None:
        """Waits, `timeout` seconds at most, for subscribers that still hear, so that no other member tells it again."""
        if self._unmarked:
            self._events.flush(timeout, self._reach)
            with suppress(ModelHostError):
                self._mark()

    def _is_left_to_me(self, key: str, is_first: Callable[[], bool]) -> bool:
        if self._by_claim and self._place.create(self._file(key), _CLAIMED):
            return True
        if self._place.read(self._file(key)) not in (None, _CLAIMED):
            self._known.add(key)
            self._untold.pop(key, None)
            return False
        since = self._untold.setdefault(key, self._clock())
        return self._clock() - since >= self._ttl and is_first()

    def _mark(self) -> None:
        with self._lock:
            told = sorted(self._unmarked)  # before the flush: who hears of more meanwhile says nothing of that
        if not told or not self._events.flush(0.0, self._reach):
            return
        for key in told:
            self._place.put(self._file(key), _HEARD)
            with self._lock:
                self._unmarked.discard(key)
        for name in self._place.names(self._folder)[:-_KEPT_MARKS]:
            self._place.remove(f"{self._folder}/{name}")

    def _file(self, key: str) -> str:
        return f"{self._folder}/{key}{_SUFFIX}"
