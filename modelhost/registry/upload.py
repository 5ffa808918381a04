"""Publishing to a registry elsewhere: described and checked here, then brought up, `version.json` last."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from modelhost.errors import Conflict, RegistryUnavailable
from modelhost.metadata import VersionInfo
from modelhost.registry import publish, statuslog
from modelhost.registry.base import Entry, Status
from modelhost.registry.layout import VERSION_FILE
from modelhost.registry.mounted import Mounted
from modelhost.registry.objects import ObjectStore
from modelhost.registry.pickles import refuse_pickles
from modelhost.registry.publish import Published
from modelhost.registry.remote import RemoteRegistry
from modelhost.registry.staging import staging


def publish_remote(
    registry: RemoteRegistry,
    source: Path | Mapping[str, Path],
    metadata: Mapping[str, Any],
    *,
    who: str,
    allow_pickles: Collection[str] = (),
) -> Published:
    """As `publish.publish`, to where the registry's origin is; the same errors. Repeated after a break-off, it goes on
    with what is not there yet. The entry's path lies in the cache, where `find` brings the files."""
    origin = registry.origin
    if isinstance(origin, Mounted):
        root = origin.registry.root
        return publish.publish(root, source, metadata, who=who, allow_pickles=allow_pickles, clock=registry.clock)
    assert isinstance(origin, ObjectStore)
    files = publish.gather(source)
    planned = publish.plan(metadata, files, registry, registry.clock)
    refuse_pickles(files, allow_pickles)
    try:
        # A copy, so that what is brought up is what was digested, even where the source changes meanwhile.
        with staging(registry.cache, planned.component, planned.version) as stage:
            info = publish.stage_version(stage, files, planned)
            refuse_pickles({name: stage / name for name in files}, allow_pickles)
            return _deposit(registry, origin, info, stage, who)
    except OSError as error:
        raise RegistryUnavailable(
            f"nothing was published to {origin.url}: {error}", "look at the cache's disk"
        ) from error


def _deposit(registry: RemoteRegistry, store: ObjectStore, info: VersionInfo, stage: Path, who: str) -> Published:
    component, version = info.component, info.version
    there = registry.describe(component, version)
    changes = store.changes(component)
    logged = publish.is_logged(changes, version)

    def log() -> None:
        why = f"published: {info.note}"
        store.record(component, statuslog.following(changes, registry.clock(), version, Status.UNSTABLE, who, why))

    if there is None:
        if logged:
            raise Conflict(
                f"{component} {version} was published before, and its files were removed since",
                "a number never means other weights: take the next one",
            )
        if store.deposit(info, (stage / VERSION_FILE).read_bytes(), stage):
            log()
            return Published(Entry(info, registry.cache.root / component / version, Status.UNSTABLE), True)
        there = registry.describe(component, version)
    if there is None:
        raise RegistryUnavailable(f"{component} {version} came and went at {store.url}", "publish again")
    if found := publish.changes(info, there):
        raise publish.taken(info, found)
    if not logged and not publish.is_logged(store.changes(component), version):
        log()  # whoever brought it was killed, or is about to write the same
    entry = next(entry for entry in registry.versions(component) if entry.version == version)
    return Published(entry, False)
