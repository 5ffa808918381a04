"""Collecting what may go: a version leaves by rename, then its files are unlinked. Who has them mapped keeps them."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
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
from modelhost.registry.wishes import Clusters, Folder, Shelf

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
    elsewhere: Collection[Shelf] = (),
) -> Collected:
    """Remove the versions that may go (`retention` says which) and sweep leftovers. Broken versions are left alone.

    What the registry's clusters want stays, and those whose place is one of `elsewhere`. Nobody can publish or mark
    from the decision to the last rename; clusters can switch, and are asked again: what one wants by then comes back.
    Killed in between, the next run goes on. Raises InvalidRequest, RegistryUnavailable, and IntegrityError where it
    cannot be told what a cluster wants.
    """
    with _using(registry), ExitStack() as held:
        components = registry.components()
        if not dry_run:
            for component in components:  # Sorted, so that two collectors never wait for each other.
                held.enter_context(registry.changing(component))
        entries = [entry for component in components for entry in registry.versions(component)]
        clusters, young_after = Clusters(entries, [Folder(registry.root), *elsewhere]), registry.clock() - grace

        def look() -> list[Verdict]:
            wanted = clusters.want()
            return judge(entries, in_use=in_use, pinned=pinned, wanted=wanted, keep=keep, young_after=young_after)

        verdicts = look()
        if dry_run:
            return Collected(verdicts, [], 0, [])
        swept = [name for component in components for name in sweep(registry.root / component)]
        going = removable(verdicts)
        for entry in going:
            _take_number(registry, entry)
        verdicts, gone = _take_out(going, look)
        return Collected(verdicts, gone, sum(entry.info.bytes for entry in gone), swept)


def _take_out(going: list[Entry], look: Callable[[], list[Verdict]]) -> tuple[list[Verdict], list[Entry]]:
    """Out of everybody's sight, then another look: what is to stay by now comes back, the rest is unlinked."""
    trash = [(entry, _leave(entry.path)) for entry in going]
    staying = going
    try:
        verdicts = look()
        staying = [verdict.entry for verdict in verdicts if verdict.stays]
    finally:
        for entry, path in trash:
            if entry in staying:
                _return(path, entry.path)
    gone = [(entry, path) for entry, path in trash if entry not in staying]
    for _, path in gone:
        remove(path)
    return verdicts, [entry for entry, _ in gone]


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


def _return(trash: Path, path: Path) -> None:
    trash.rename(path)
    sync_directory(path.parent)


@contextmanager
def _using(registry: DirectoryRegistry) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RegistryUnavailable(
            f"{registry.root} could not be collected: {error}", "look at its permissions, and run it again"
        ) from error
