"""What could answer at this moment. The registry is asked aside: no request waits for a file system or a store."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping

from modelhost.config.model import Settings
from modelhost.errors import ModelHostError
from modelhost.host.assembly import section
from modelhost.host.wiring import Subject
from modelhost.loading.pool import Pool
from modelhost.registry.base import Entry, Registry, Status
from modelhost.routing.offers import Offer, Offers
from modelhost.serving.following import following
from modelhost.serving.sets import ServingSet

_REMEMBERED = 256
_log = logging.getLogger(__name__)


class Shelf:
    """Entries of the registry as they were at the last `refresh`, with what is in memory now."""

    def __init__(self, registry: Registry, pool: Pool, settings: Callable[[], Settings]) -> None:
        self._registry = registry
        self._pool = pool
        self._settings = settings
        self._entries: Mapping[str, Mapping[str, Entry]] = {}
        self._rejected: Mapping[str, frozenset[str]] = {}
        self._mates: dict[tuple[str, str, str], Mapping[str, str]] = {}
        self._lock = threading.Lock()

    def refresh(self) -> None:
        """Asks the registry anew; what cannot be read stays as it was."""
        found: dict[str, Mapping[str, Entry]] = {}
        rejected: dict[str, frozenset[str]] = {}
        for component in self._settings().components:
            try:
                entries = self._registry.versions(component)
            except ModelHostError as error:
                _log.debug("%s stays as it was: %s", component, error)
                found[component] = self._entries.get(component, {})
                rejected[component] = self._rejected.get(component, frozenset())
            else:
                found[component] = {each.version: each for each in entries if each.status is not Status.REJECTED}
                rejected[component] = frozenset(e.version for e in entries if e.status is Status.REJECTED)
        with self._lock:
            self._entries, self._rejected = found, rejected
            self._mates.clear()

    def entries(self, component: str) -> list[Entry]:
        """Versions that are not rejected, the newest first."""
        return list(self._entries.get(component, {}).values())

    def known(self, component: str, versions: Iterable[str]) -> set[str]:
        """Those of `versions` that there are, and that are not rejected."""
        return self._entries.get(component, {}).keys() & set(versions)

    def rejected(self, component: str) -> frozenset[str]:
        """Versions that are marked rejected."""
        return self._rejected.get(component, frozenset())

    def offers(self, component: str, live: ServingSet) -> Offers:
        """Whatever may answer for a component: what serves, what is in memory, what the registry has."""
        routable = section(self._settings(), component).routable
        resident = {each.version for each in self._pool.residents() if each.component == component}
        versions = {
            version: Offer(version, entry.info.interface.shape, version in resident, version in routable)
            for version, entry in self._entries.get(component, {}).items()
        }
        serving = live.get(component)
        if serving is None:
            return Offers(component, None, versions)
        shape = serving.entry.info.interface.shape
        return Offers(component, serving.version, {**versions, serving.version: Offer(serving.version, shape, True)})

    def overrides(self, subject: Subject, version: str, live: ServingSet) -> Mapping[str, str]:
        """Component → version, where a request that is to see `version` differs from the live set."""
        if live.versions.get(subject.lead) == version:
            return {}
        key = live.digest, subject.lead, version
        with self._lock:
            held = self._mates.get(key)
        if held is None:
            held = {subject.lead: version, **self._following(subject, version, live)}
            with self._lock:
                if len(self._mates) >= _REMEMBERED:
                    self._mates.clear()
                self._mates[key] = held
        return held

    def _following(self, subject: Subject, version: str, live: ServingSet) -> dict[str, str]:
        """The mates that move along."""
        lead = self._entries.get(subject.lead, {}).get(version)
        if lead is None:
            return {}
        moved = following({subject.lead: lead}, [each for each in subject.mates if each in live], live, self.entries)
        return {name: each.version for name, each in moved.items()}
