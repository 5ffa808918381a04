"""What killed publishers left on an object store: files of a number that never became a version.

Nothing can be locked there, so publisher and collector each leave a mark first, and look for the other's then: of two
who come at once, one at least sees the other. A publisher that sees a collector waits for another time, a collector
that sees a publisher leaves everything as it is.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from modelhost.registry.bucket import Object
from modelhost.registry.layout import VERSION_FILE, is_version
from modelhost.registry.objects import SWEEPING, SWEEPS_FOR, WITHDRAWN, ObjectStore
from modelhost.registry.publish import is_logged
from modelhost.registry.retention import Named

ABANDONED = timedelta(days=1)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Abandoned:
    """Files below a number that has no `version.json`, the `newest` of which has come some time ago."""

    name: Named
    files: int
    bytes: int
    newest: datetime

    def __str__(self) -> str:
        files = "1 file" if self.files == 1 else f"{self.files} files"
        return (
            f"{self.name.component}/{self.name.version}: brought up in part and never published, {files}, "
            f"{self.bytes / 1e6:.1f} MB, the last on {self.newest:%Y-%m-%d at %H:%M %Z}"
        )


def abandoned(store: ObjectStore, now: datetime, grace: timedelta, staying: Collection[Named]) -> list[Abandoned]:
    """What publishers left who are gone: nothing has come for `grace`. Not what is one of `staying`, or what the log
    speaks of: that was a version once, and somebody took its `version.json` away."""
    found = []
    for component in store.components():
        log = None
        for version, objects in _by_version(store, component).items():
            one = _abandoned(Named(component, version), objects, now, grace)
            if one is None:
                continue
            log = store.changes(component) if log is None else log
            if one.name in staying or is_logged(log, version):
                _log.warning("left alone: %s %s has files and no %s", component, version, VERSION_FILE)
            else:
                found.append(one)
    return found


def sweep(store: ObjectStore, name: Named, now: datetime, grace: timedelta) -> bool:
    """Remove it; False where somebody publishes it by now. Killed in between, a later run goes on."""
    base, bucket = f"{name.component}/{name.version}", store.bucket
    mark = f"{base}/{SWEEPING}{os.urandom(6).hex()}.json"
    bucket.put(mark, b"{}")
    try:
        others = [each for each in bucket.objects(base) if each.key != mark]
        # Without the mark of another collector, who is at it too and takes it away itself.
        objects = [each for each in others if not _is_mark(each) or _is_old(each, now, SWEEPS_FOR)]
        if _abandoned(name, objects, now, grace) is None:
            return False
        for each in objects:
            if store.describe(name.component, name.version) is not None:
                return False
            bucket.remove(each.key)
        return True
    finally:
        bucket.remove(mark)


def _by_version(store: ObjectStore, component: str) -> dict[str, list[Object]]:
    found: dict[str, list[Object]] = {}
    for each in store.bucket.objects(component):
        parts = each.key.split("/")
        if len(parts) > 2 and is_version(parts[1]):
            found.setdefault(parts[1], []).append(each)
    return found


def _abandoned(name: Named, objects: Iterable[Object], now: datetime, grace: timedelta) -> Abandoned | None:
    """None for a version, for one that a collector withdraws or sweeps at this moment, and for what is young."""
    objects = list(objects)
    base = f"{name.component}/{name.version}"
    if {f"{base}/{VERSION_FILE}", f"{base}/{WITHDRAWN}"} & {each.key for each in objects}:
        return None
    if not all(_is_old(each, now, SWEEPS_FOR if _is_mark(each) else grace) for each in objects):
        return None
    times = [each.at for each in objects if each.at is not None]
    files = [each for each in objects if not each.key.rsplit("/", 1)[-1].startswith(".")]
    return Abandoned(name, len(files), sum(each.bytes for each in files), max(times)) if times else None


def _is_mark(each: Object) -> bool:
    return each.key.rsplit("/", 1)[-1].startswith(SWEEPING)


def _is_old(each: Object, now: datetime, span: timedelta) -> bool:
    """What a store does not tell the time of is never old."""
    return each.at is not None and each.at <= now - span
