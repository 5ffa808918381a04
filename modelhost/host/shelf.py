"""What could answer at this moment. The registry is asked aside, so that no request waits for a file system or a store.

A version of a set is that of its first component; the others keep what serves where it fits, else they bring the newest
version that does.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping

from modelhost.config.model import Settings
from modelhost.errors import MateMismatch, ModelHostError
from modelhost.host.assembly import section
from modelhost.host.wiring import Subject
from modelhost.loading.base import Loaded
from modelhost.loading.pool import Pool
from modelhost.registry.base import Entry, Registry, Status
from modelhost.routing.offers import Offer, Offers
from modelhost.serving.sets import ServingSet
from modelhost.serving.switching import check_fit

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
        """The mates that move along; none where what serves fits, or nothing does: whoever loads them says why."""
        lead = self._entries.get(subject.lead, {}).get(version)
        if lead is None:
            return {}
        chosen: dict[str, Entry | Loaded] = {**live, subject.lead: lead}
        if _fits(chosen):
            return {}
        moved: dict[str, str] = {}
        for mate in subject.mates:
            others = {name: each for name, each in chosen.items() if name not in subject.mates or name in moved}
            for candidate in [live[mate].entry, *self.entries(mate)] if mate in live else []:
                if _fits({**others, mate: candidate}, {*others, mate}):
                    chosen[mate] = candidate
                    moved[mate] = candidate.version
                    break
        return {name: each for name, each in moved.items() if each != live.versions[name]}


def _fits(chosen: Mapping[str, Entry | Loaded], among: set[str] | None = None) -> bool:
    """Whether all fit; `among`: mates of components outside of these are not looked at."""
    members = list(chosen.values())
    if among is not None:
        members = [_without_others(each, among) for each in members]
    try:
        check_fit(members)
    except MateMismatch:
        return False
    return True


def _without_others(each: Entry | Loaded, among: set[str]) -> Entry | Loaded:
    if isinstance(each, Loaded) and each.fallback:
        return each
    entry = each.entry if isinstance(each, Loaded) else each
    mates = {name: digest for name, digest in entry.info.mates.items() if name in among}
    return Entry(entry.info.model_copy(update={"mates": mates}), entry.path, entry.status)
