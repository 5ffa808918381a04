"""What serves although somebody marked it rejected: people are told, once for each mark. Nothing switches by itself.

Marks are read before it is asked what serves: a rollback flips first and rejects then, and is no reason for an alert.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile

from modelhost.errors import ModelHostError
from modelhost.host.shelf import Shelf
from modelhost.registry.base import Registry, Status, StatusChange
from modelhost.serving.events import Event
from modelhost.serving.history import Kind, Outcome, Record
from modelhost.serving.serving import Serving

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A version that serves, and is rejected. `mark`: the last word of it; `since`: the one by which its standing
    changed, which names this rejection."""

    component: str
    mark: StatusChange
    since: StatusChange

    @property
    def key(self) -> str:
        """A name for this rejection, also for files; they sort by time."""
        return f"{self.since.at:%Y%m%dT%H%M%S.%f}-{self.component}-{self.since.version}"

    def event(self, generation: int, versions: Mapping[str, str]) -> Event:
        """The alert; `versions`: the set that serves."""
        name, mark = self.component, self.mark
        record = Record(
            at=mark.at,
            kind=Kind.MARK,
            outcome=Outcome.UNCHANGED,
            who=mark.who,
            why=mark.why,
            generation=generation,
            before=dict(versions),
            after=dict(versions),
            rejected={name: mark.version},
            notes=(
                "it goes on serving until a person switches:",
                f"POST /rollback/{name} {{reason}} goes back to what served before",
                f"POST /promote/{name} {{version, reason}} lets another version serve",
                f"POST /restore/{name} {{version, reason}} takes the mark back, where it was a mistake",
            ),
        )
        return Event(record, alert=True)


class Rejections:
    """Looks at the marks of what serves. `alone`: this host tells of them itself; in a cluster one member does."""

    def __init__(self, registry: Registry, shelf: Shelf, serving: Serving) -> None:
        self.alone = True
        self._registry = registry
        self._shelf = shelf
        self._serving = serving
        self._told: set[str] = set()
        self._lock = threading.Lock()

    def look(self) -> None:
        """Tells of what was not told yet, where the host is alone. After a refresh of the shelf."""
        live = self._serving.live.serving()
        if live is None or not self.alone:
            return
        found = self.among(live.versions)
        if self._serving.live.generation != live.generation:
            return  # a rollback meanwhile, of whose mark this may be; the next look says more
        with self._lock:  # upkeep and a switch may look at once
            fresh = [each for each in found if each.key not in self._told]
            self._told.update(each.key for each in fresh)
        for each in fresh:
            self._serving.events.publish(each.event(live.generation, live.versions))

    def among(self, versions: Mapping[str, str]) -> list[Rejected]:
        """Those of `versions` that are rejected. Asks the registry only about what the shelf knows to be so."""
        found = []
        for name, version in versions.items():
            if version not in self._shelf.rejected(name):
                continue
            try:
                said = [change for change in self._registry.log(name) if change.version == version]
            except ModelHostError as error:
                _log.debug("who rejected %s %s is not known now: %s", name, version, error)
                continue
            last = list(takewhile(lambda change: change.status is Status.REJECTED, reversed(said)))
            if last:
                found.append(Rejected(name, last[0], last[-1]))
        return found
