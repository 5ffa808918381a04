"""What of a remote registry's local cache this host needs: what it serves, holds, routes to and may go back to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping

from modelhost.config.model import Settings
from modelhost.errors import ModelHostError
from modelhost.loading.pool import Pool
from modelhost.registry.base import LATEST, Registry
from modelhost.registry.caching import tidy
from modelhost.registry.remote import RemoteRegistry
from modelhost.registry.retention import Named
from modelhost.serving.serving import Serving

TIDY_SECONDS = 3600.0
_SETS = 3  # that served last: what serves, and the ways back from it
_log = logging.getLogger(__name__)


class Cache:
    """Nothing to do for a registry that is read where it lies. `wanted`: who else names what must stay."""

    def __init__(
        self,
        registry: Registry,
        pool: Pool,
        serving: Serving,
        settings: Callable[[], Settings],
        routed: Callable[[], Mapping[str, Iterable[str]]],
    ) -> None:
        self._registry = registry
        self._pool = pool
        self._serving = serving
        self._settings = settings
        self._routed = routed
        self.wanted: list[Callable[[], Iterable[Named]]] = []

    @property
    def is_one(self) -> bool:
        """Whether there is a cache at all."""
        return isinstance(self._registry, RemoteRegistry)

    def tidy(self) -> list[Named]:
        """Lets leave what has been there for a day and nothing needs; what left. A cache that cannot be tidied is
        logged."""
        if not isinstance(self._registry, RemoteRegistry):
            return []
        try:
            gone = tidy(self._registry, in_use=self.needed())
        except ModelHostError:
            _log.exception("the cache was not tidied")
            return []
        for each in gone:
            _log.info("%s %s left the cache", each.component, each.version)
        return gone

    def needed(self) -> set[Named]:
        """What must stay."""
        found = {Named(each.component, each.version) for each in self._pool.residents()}
        found |= {Named(*key) for key in self._pool.loading()}
        for name, section in self._settings().components.items():
            found |= {Named(name, version) for version in (*section.routable, section.default) if version != LATEST}
        found |= {Named(name, version) for name, versions in self._routed().items() for version in versions}
        for versions in self._sets():
            found |= {Named(*item) for item in versions.items()}
        return found.union(*(wanted() for wanted in self.wanted))

    def _sets(self) -> list[Mapping[str, str]]:
        """The last few sets that served, each once."""
        found: list[Mapping[str, str]] = []
        for record in self._serving.history.switches():
            if record.after not in found:
                found.append(record.after)
            if len(found) == _SETS:
                break
        return found
