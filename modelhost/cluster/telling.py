"""What a cluster tells of itself as a whole, by the process that was asked: to the subscribers of that process."""

from __future__ import annotations

import logging

from modelhost.serving.events import Event, Events
from modelhost.serving.history import Record

_log = logging.getLogger(__name__)


class Teller:
    """Tells the subscribers of a member's service; without one, the log alone."""

    def __init__(self, events: Events | None = None) -> None:
        self._events = events

    def alert(self, record: Record) -> None:
        """A switch that did not happen, and needs a person."""
        event = Event(record, alert=True)
        _log.error("%s: %s", event.title, record.error)
        if self._events is not None:
            self._events.publish(event)
