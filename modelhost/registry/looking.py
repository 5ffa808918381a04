"""A registry to decide by: what it finds is not pulled, since most of what is looked at is not gone to."""

from __future__ import annotations

from modelhost.registry.base import LATEST, Entry, Registry, Status, StatusChange
from modelhost.registry.remote import RemoteRegistry


class Looking:
    """Another registry, whose entries may have their files elsewhere only. `is_here` says of which that is so."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def is_here(self, component: str, version: str) -> bool:
        """Whether there is something to look at on this machine."""
        return not isinstance(self._registry, RemoteRegistry) or self._registry.has_copy(component, version)

    def components(self) -> list[str]:
        """As the registry."""
        return self._registry.components()

    def versions(self, component: str) -> list[Entry]:
        """As the registry."""
        return self._registry.versions(component)

    def find(self, component: str, version: str = LATEST) -> Entry:
        """As the registry, without its files. The same errors."""
        if isinstance(self._registry, RemoteRegistry):
            return self._registry.look(component, version)
        return self._registry.find(component, version)

    def mark(self, component: str, version: str, status: Status, who: str, why: str) -> StatusChange:
        """As the registry."""
        return self._registry.mark(component, version, status, who, why)

    def log(self, component: str) -> list[StatusChange]:
        """As the registry."""
        return self._registry.log(component)
