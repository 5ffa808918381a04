"""Verified copies of versions that lie elsewhere: pulled by one process while others wait, healed where damaged.

A copy is built beside its place and arrives there by rename, when every byte was compared with what was published. One
that is replaced leaves by rename as well: who has its files mapped keeps them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from modelhost.errors import IntegrityError, RegistryUnavailable, Unknown
from modelhost.metadata import VersionInfo, canonical_version
from modelhost.registry.catalogue import Described
from modelhost.registry.directory import DirectoryRegistry
from modelhost.registry.durable import locked, remove, sync_file, write_new
from modelhost.registry.layout import TRASH, VERSION_FILE, component_directory
from modelhost.registry.origin import Origin
from modelhost.registry.staging import arrive, staging
from modelhost.registry.verify import damage

_LOCKS = ".locks"
_log = logging.getLogger(__name__)


class Copies:
    """The copies in a cache, each of a version at the origin. What fails at the origin is a RegistryUnavailable, what
    fails here an OSError."""

    def __init__(self, origin: Origin, cache: DirectoryRegistry) -> None:
        self._origin = origin
        self._cache = cache

    def path(self, component: str, version: str) -> Path:
        """Where the copy of a version is, or will be."""
        return component_directory(self._cache.root, component) / canonical_version(version)

    def bring(self, version: Described, others: Iterable[VersionInfo] = ()) -> list[str]:
        """Pulls a version that is not here, by one process while the others wait. What is wrong with the description
        of one that is here: its files are not looked at.

        Raises IntegrityError where what came is not what was published, or lies here of another registry.
        """
        found = self._misdescribed(version.info)
        if found is None:
            with self._alone(version.info):
                found = self._misdescribed(version.info)
                if found is None:
                    self._pull(version, others)
        return found or []

    def heal(self, version: Described, found: Sequence[str], full: bool = False) -> None:
        """Replaces a damaged copy by one that is pulled anew, unless somebody else just did, which is looked at as in
        `damage`; `found` is what differs. The damaged one stays until the other is whole.

        Raises IntegrityError where what came is damaged too.
        """
        info = version.info
        with self._alone(info):
            path = self.path(info.component, info.version)
            if not self._misdescribed(info) and not damage(path, info, full=full):
                return
            self._pull(version)
        _log.warning(
            "healed: the copy of %s %s in %s was damaged (%s) and was pulled anew from %s",
            info.component,
            info.version,
            path,
            "; ".join(found),
            self._origin.url,
        )

    def discard(self, component: str, version: str) -> None:
        """Remove a copy; nothing where there is none."""
        path = self.path(component, version)
        if path.is_dir():
            with self._cache.changing(component):
                self._leave(path)

    def _misdescribed(self, info: VersionInfo) -> list[str] | None:
        """None where there is no copy. Raises IntegrityError where it is a whole copy, of something else."""
        path = self.path(info.component, info.version)
        if not path.is_dir():
            return None
        try:
            held = self._cache.find(info.component, info.version).info
        except Unknown:
            return None  # It left between the two questions.
        except (IntegrityError, RegistryUnavailable) as error:
            return [error.message]
        if held == info:
            return []
        if damage(path, info) and not damage(path, held):
            raise IntegrityError(
                f"{path} is another {info.component} {info.version} than that of {self._origin.url}",
                "give each registry a cache of its own; a published version never changes",
            )
        return [f"{VERSION_FILE} was changed"]

    @contextmanager
    def _alone(self, info: VersionInfo) -> Iterator[None]:
        """Held while this version is pulled: whoever comes meanwhile waits, and finds it here."""
        locks = self._cache.root / _LOCKS
        locks.mkdir(parents=True, exist_ok=True)
        with locked(locks / f"{info.component}-{info.version}"):
            yield

    def _pull(self, version: Described, others: Iterable[VersionInfo] = ()) -> None:
        """Takes the place of whatever lies there."""
        info = version.info
        with staging(self._cache, info.component, info.version) as stage:
            self._origin.fetch(info, stage)
            if found := damage(stage, info, full=True, others=others) or damage(stage, info):
                raise IntegrityError(
                    f"{info.component} {info.version} from {self._origin.url} is not as it was published: "
                    f"{'; '.join(found)}",
                    "pull again, or restore it",
                )
            for file in info.files:
                sync_file(stage / file.path)
            write_new(stage / VERSION_FILE, version.text)
            path = self.path(info.component, info.version)
            with self._cache.changing(info.component):
                self._leave(path)
                arrive(self._cache, stage, path)

    def _leave(self, path: Path) -> None:
        """By rename, so that nobody sees a half of it; a killed one's rest is swept. Whoever calls holds `changing`."""
        trash = path.with_name(f"{TRASH}{path.name}-{os.urandom(4).hex()}")
        try:
            path.rename(trash)
        except FileNotFoundError:
            return
        remove(trash)
