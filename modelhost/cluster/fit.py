"""A set by its versions: found in the registry, none of it rejected, and fitting together."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from modelhost.errors import rejected
from modelhost.registry.base import Entry, Registry, Status
from modelhost.registry.looking import Looking
from modelhost.serving.fallback import FALLBACK_VERSION
from modelhost.serving.switching import check_fit


def fitting(registry: Registry, versions: Mapping[str, str]) -> dict[str, Entry]:
    """Component → entry, of those that no fallback serves; a fallback fits everything. `latest` is looked up. Nothing
    is pulled. Raises Unknown, NothingStable, Refused, MateMismatch, IntegrityError, RegistryUnavailable."""
    looking = Looking(registry)
    entries = {name: _allowed(looking, name, each) for name, each in versions.items() if each != FALLBACK_VERSION}
    stand_ins = versions.keys() - entries.keys()
    check_fit([_without(entry, stand_ins) for entry in entries.values()])
    return entries


def _allowed(registry: Registry, component: str, version: str) -> Entry:
    entry = registry.find(component, version)
    if entry.status is Status.REJECTED:
        raise rejected(component, entry.version)
    return entry


def _without(entry: Entry, stand_ins: Collection[str]) -> Entry:
    mates = {name: digest for name, digest in entry.info.mates.items() if name not in stand_ins}
    return replace(entry, info=entry.info.model_copy(update={"mates": mates}))
