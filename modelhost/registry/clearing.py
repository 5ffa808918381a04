"""Collecting on an object store, where nothing can be locked or renamed: `version.json` goes first, then another look.

What is without `version.json` is no version to anybody, whoever is killed when. What somebody wants, or calls stable,
by the time of the second look gets it back; the rest of what was withdrawn is removed, by the next run where this one
does not get to it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import timedelta

from modelhost.errors import IntegrityError
from modelhost.registry import statuslog
from modelhost.registry.abandoned import ABANDONED, abandoned, sweep
from modelhost.registry.base import Entry, Status
from modelhost.registry.collect import GRACE, Collected, gc
from modelhost.registry.layout import VERSION_FILE, parse
from modelhost.registry.mounted import Mounted
from modelhost.registry.objects import ObjectStore
from modelhost.registry.publish import is_logged
from modelhost.registry.remote import RemoteRegistry
from modelhost.registry.retention import LEAST, Named, Verdict, judge, removable
from modelhost.registry.wishes import Clusters, Shelf

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Found:
    """A version as it lies there, with the bytes of its `version.json`."""

    entry: Entry
    described: bytes

    @property
    def name(self) -> Named:
        return Named(self.entry.component, self.entry.version)


def gc_remote(
    registry: RemoteRegistry,
    *,
    in_use: Collection[Named] = (),
    pinned: Collection[Named] = (),
    keep: int = LEAST,
    grace: timedelta = GRACE,
    dry_run: bool = False,
    elsewhere: Collection[Shelf] = (),
    abandoned_after: timedelta = ABANDONED,
) -> Collected:
    """As `collect.gc`, where the registry's origin is; the local cache is left as it is. The same errors.

    What publishers left is swept where nothing has come for `abandoned_after`; on a directory it is known who lives.
    """
    store = registry.origin
    if isinstance(store, Mounted):
        return gc(
            store.registry,
            in_use=in_use,
            pinned=pinned,
            keep=keep,
            grace=grace,
            dry_run=dry_run,
            elsewhere=elsewhere,
        )
    assert isinstance(store, ObjectStore)
    found = [one for component in store.components() for one in _versions(registry, store, component)]
    young_after = registry.clock() - grace

    shelves = [store.bucket, *elsewhere]

    def look() -> list[Verdict]:
        entries = _as_marked(store, [one.entry for one in found])
        wanted = Clusters(entries, shelves).want()
        return judge(entries, in_use=in_use, pinned=pinned, wanted=wanted, keep=keep, young_after=young_after)

    verdicts = look()
    wanted = set(Clusters((), shelves).want())
    left = abandoned(store, registry.clock(), abandoned_after, {*wanted, *in_use, *pinned})
    if dry_run:
        return Collected(verdicts, [], 0, [*map(str, left)])
    swept = _go_on(store, {*(one.name for one in found), *wanted})
    swept += [str(one) for one in left if sweep(store, one.name, registry.clock(), abandoned_after)]
    going = {Named(entry.component, entry.version) for entry in removable(verdicts)}
    verdicts, gone = _take_out(registry, store, [one for one in found if one.name in going], look)
    return Collected(verdicts, gone, sum(entry.info.bytes for entry in gone), swept)


def _versions(registry: RemoteRegistry, store: ObjectStore, component: str) -> list[_Found]:
    """All whole and readable versions, as they lie there now: no memory and no cache is asked."""
    found = []
    for version in store.published(component):
        described = store.describe(component, version)
        if described is None:
            continue
        try:
            info = parse(described, f"{store.url}/{component}/{version}/{VERSION_FILE}", component, version)
        except IntegrityError as error:
            _log.warning("left alone: %s", error)
            continue
        path = registry.cache.root / component / version
        found.append(_Found(Entry(info, path, Status.UNSTABLE), described))
    return sorted(found, key=lambda one: one.entry.info.order, reverse=True)


def _as_marked(store: ObjectStore, entries: list[Entry]) -> list[Entry]:
    """The entries with the status that they have at this moment."""
    marked = {name: statuslog.standing(store.changes(name)) for name in {entry.component for entry in entries}}
    return [replace(each, status=marked[each.component].get(each.version, Status.UNSTABLE)) for each in entries]


def _take_out(
    registry: RemoteRegistry, store: ObjectStore, going: list[_Found], look: Callable[[], list[Verdict]]
) -> tuple[list[Verdict], list[Entry]]:
    """Withdraws them, looks again, restores what is to stay by now and clears the rest."""
    staying = {one.name for one in going}
    try:
        for one in going:
            _take_number(registry, store, one.entry)
            store.withdraw(one.entry.component, one.entry.version, one.described)
        verdicts = look()
        staying = {Named(each.entry.component, each.entry.version) for each in verdicts if each.stays}
    finally:
        for one in going:
            if one.name in staying:
                store.restore(one.entry.component, one.entry.version)
    gone = [one.entry for one in going if one.name not in staying]
    for entry in gone:
        store.clear(entry.component, entry.version)
        registry.forget(entry.component, entry.version)
    return verdicts, gone


def _go_on(store: ObjectStore, staying: set[Named]) -> list[str]:
    """Ends what a killed collector began: what is whole or wanted is a version again, of the others the rest goes."""
    swept = []
    for component in store.components():
        for version in store.withdrawn(component):
            if Named(component, version) in staying:
                store.restore(component, version)
            else:
                store.clear(component, version)
                swept.append(f"{component}/{version}")
    return swept


def _take_number(registry: RemoteRegistry, store: ObjectStore, entry: Entry) -> None:
    """The log says that there was such a version, also where its publisher was killed before it could."""
    changes = store.changes(entry.component)
    if not is_logged(changes, entry.version):
        why = "published, and removed: nothing needs it"
        change = statuslog.following(changes, registry.clock(), entry.version, Status.UNSTABLE, "gc", why)
        store.record(entry.component, change)
