"""Collecting what may go: a version leaves by rename, then its files are unlinked. Who has them mapped keeps them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from modelhost.errors import RegistryUnavailable
from modelhost.registry.base import Entry, Status
from modelhost.registry.directory import DirectoryRegistry
from modelhost.registry.durable import remove, sync_directory
from modelhost.registry.layout import TRASH
from modelhost.registry.publish import is_logged
from modelhost.registry.retention import LEAST, Named, Verdict, judge, removable
from modelhost.registry.staging import sweep

GRACE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Collected:
    """`verdicts` on every version, `removed` those that went, `bytes` what they held, `swept` what the killed left."""

    verdicts: list[Verdict]
    removed: list[Entry]
    bytes: int
    swept: list[str]


def gc(
    registry: DirectoryRegistry,
    *,
    in_use: Collection[Named] = (),
    pinned: Collection[Named] = (),
    keep: int = LEAST,
    grace: timedelta = GRACE,
    dry_run: bool = False,
) -> Collected:
    """Remove the versions that may go (`retention` says which) and sweep leftovers. Broken versions are left alone.

    Nobody can publish or mark from the decision to the last rename. Killed in between, the next run goes on.
    Raises InvalidRequest, RegistryUnavailable.
    """
    with _using(registry):
        components = registry.components()
        with ExitStack() as held:
            if not dry_run:
                for component in components:  # Sorted, so that two collectors never wait for each other.
                    held.enter_context(registry.changing(component))
            entries = [entry for component in components for entry in registry.versions(component)]
            verdicts = judge(entries, in_use=in_use, pinned=pinned, keep=keep, young_after=registry.clock() - grace)
            going = removable(verdicts)
            if dry_run:
                return Collected(verdicts, [], 0, [])
            swept = [name for component in components for name in sweep(registry.root / component)]
            for entry in going:
                _take_number(registry, entry)
            trash = [_leave(entry.path) for entry in going]
            for path in trash:
                remove(path)
        return Collected(verdicts, going, sum(entry.info.bytes for entry in going), swept)


def _take_number(registry: DirectoryRegistry, entry: Entry) -> None:
    """The log says that there was such a version, also where its publisher was killed before it could."""
    if not is_logged(registry.changes(entry.component), entry.version):
        registry.record(
            entry.component, entry.version, Status.UNSTABLE, "gc", "published, and removed: nothing needs it"
        )


def _leave(path: Path) -> Path:
    trash = path.with_name(f"{TRASH}{path.name}-{os.urandom(4).hex()}")
    path.rename(trash)
    sync_directory(path.parent)
    return trash


@contextmanager
def _using(registry: DirectoryRegistry) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RegistryUnavailable(
            f"{registry.root} could not be collected: {error}", "look at its permissions, and run it again"
        ) from error
