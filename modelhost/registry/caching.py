"""The local cache of a remote registry has an end: copies that nothing here needs leave, and can be pulled again."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

from modelhost.errors import RegistryUnavailable
from modelhost.registry.remote import RemoteRegistry
from modelhost.registry.retention import LEAST, Named, judge, removable
from modelhost.registry.staging import sweep

_log = logging.getLogger(__name__)
SETTLED = timedelta(days=1)


def tidy(
    registry: RemoteRegistry, *, in_use: Collection[Named] = (), keep: int = LEAST, settled: timedelta = SETTLED
) -> list[Named]:
    """Lets leave the copies that retention would not keep, once they have been here for `settled`; sweeps what killed
    processes left. Asks the remote nothing.

    `in_use`: what this host serves, holds or may go back to. Who has a copy mapped keeps it; whoever asks for one that
    has left pulls it anew. Raises InvalidRequest where `keep` is below three, RegistryUnavailable for the cache.
    """
    cache = registry.cache
    if not cache.root.is_dir():
        return []
    try:
        components = cache.components()
        for component in components:
            with cache.changing(component):
                for name in sweep(cache.root / component):
                    _log.info("swept from the cache: %s", name)
        now = registry.clock()
        entries = [entry for component in components for entry in cache.versions(component)]
        verdicts = judge(entries, in_use=in_use, keep=keep, young_after=now - settled)
        going = [entry for entry in removable(verdicts) if _arrived(entry.path) < now - settled]
        for entry in going:
            registry.discard(entry.component, entry.version)
    except OSError as error:
        raise RegistryUnavailable(f"the cache {cache.root} could not be tidied: {error}") from error
    return [Named(entry.component, entry.version) for entry in going]


def _arrived(path: Path) -> datetime:
    """When the copy was sealed and renamed to its place: nobody changes it after that."""
    return datetime.fromtimestamp(path.stat().st_ctime, UTC)
