"""A registry elsewhere, and a verified copy here: weights are mapped from the local cache alone.

The cache is a directory registry of its own, so what was pulled serves on when the registry is out of reach, with the
status that was last seen. One process pulls a version, the others wait for it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import semver

from modelhost.errors import (
    IntegrityError,
    InvalidRequest,
    ModelHostError,
    NothingStable,
    RegistryUnavailable,
    Unknown,
)
from modelhost.metadata import VersionInfo, canonical_version
from modelhost.registry import statuslog
from modelhost.registry.base import LATEST, Entry, Status, StatusChange
from modelhost.registry.directory import DirectoryRegistry, utc_now
from modelhost.registry.durable import locked, remove, replace, sync_file, write_new
from modelhost.registry.layout import STATUS_FILE, TRASH, VERSION_FILE, component_directory, parse
from modelhost.registry.origin import origin_at
from modelhost.registry.staging import arrive, staging
from modelhost.registry.verify import damage

PAUSE_S = 5.0  # After a failure, questions are answered from the cache for this long, so that none waits again.

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")


class RemoteRegistry:
    """The `Registry` protocol over a URL (`s3://bucket/path`, `file:///mnt/models` …) and a local cache directory.

    `find` pulls a version that is not here yet, which may take minutes. The paths of `versions` lead into the cache,
    whether the files are there yet or not. Without the remote, RegistryUnavailable comes only where the cache has
    no answer.
    """

    def __init__(
        self,
        url: str,
        cache: Path | str,
        options: Mapping[str, Any] | None = None,
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.origin = origin_at(url, options)
        self.cache = DirectoryRegistry(cache, clock)
        self.clock = clock
        self._monotonic = monotonic
        self._away_until = float("-inf")
        self._infos: dict[tuple[str, str], tuple[bytes, VersionInfo]] = {}
        self._seen: dict[str, list[StatusChange]] = {}

    def components(self) -> list[str]:
        """Names of all components that have a version, sorted."""
        return self._ask(
            lambda: sorted(name for name in self.origin.components() if self._numbers(name)), self.cache.components
        )

    def versions(self, component: str) -> list[Entry]:
        """All readable versions, the newest first; without the remote, those in the cache."""
        return self._ask(lambda: self._entries(component), lambda: self.cache.versions(component))

    def find(self, component: str, version: str = LATEST) -> Entry:
        """One version, or the newest stable one for `latest`, pulled and verified. Raises IntegrityError where what
        came is not what was published."""
        return self._ask(lambda: self._find(component, version), lambda: self.cache.find(component, version))

    def mark(self, component: str, version: str, status: Status, who: str, why: str) -> StatusChange:
        """Record a change of status at the remote; durable on return. Raises RegistryUnavailable."""
        if not who.strip() or not why.strip():
            raise InvalidRequest(f"{component} {version} cannot be marked {status}", "say who marks it, and why")
        name = self._number(component, version)
        changes = self.origin.changes(component)
        change = statuslog.following(changes, self.clock(), name, status, who, why)
        self.origin.record(component, change)
        self._remember(component, [*changes, change])
        return change

    def log(self, component: str) -> list[StatusChange]:
        """Every change of status, the oldest first."""

        def ask() -> list[StatusChange]:
            changes = self._remember(component)
            if not changes:
                self._known(component)
            return changes

        return self._ask(ask, lambda: self.cache.log(component))

    def discard(self, component: str, version: str) -> None:
        """Remove a version's copy from the cache, such as a damaged one: the next `find` pulls it anew."""
        path = component_directory(self.cache.root, component) / canonical_version(version)
        if path.is_dir():
            with self.cache.changing(component):
                trash = path.with_name(f"{TRASH}{path.name}-{os.urandom(4).hex()}")
                path.rename(trash)
                remove(trash)

    def forget(self, component: str, version: str) -> None:
        """Remember no more what the remote said of a version."""
        self._infos.pop((component, version), None)

    def describe(self, component: str, version: str) -> VersionInfo | None:
        """What the remote says of a version, None where it has none. Raises IntegrityError, RegistryUnavailable."""
        held = self._infos.get((component, version))
        if held is None:
            described = self.origin.describe(component, version)
            if described is None:
                return None
            where = f"{self.origin.url}/{component}/{version}/{VERSION_FILE}"
            held = self._infos[component, version] = (described, parse(described, where, component, version))
        return held[1]

    def _find(self, component: str, version: str) -> Entry:
        standing = statuslog.standing(self._remember(component))
        name = self._newest_stable(component, standing) if version == LATEST else self._number(component, version)
        info = self.describe(component, name)
        if info is None:
            raise self._unknown(component, name)
        return Entry(info, self._local(info), standing.get(name, Status.UNSTABLE))

    def _entries(self, component: str) -> list[Entry]:
        self._known(component)
        standing = statuslog.standing(self._remember(component))
        entries = []
        for name in self.origin.published(component):
            try:
                info = self.describe(component, name)
            except IntegrityError as error:
                _log.warning("left out: %s", error)
                continue
            if info is not None:
                path = self.cache.root / component / name
                entries.append(Entry(info, path, standing.get(name, Status.UNSTABLE)))
        return sorted(entries, key=lambda entry: entry.info.order, reverse=True)

    def _newest_stable(self, component: str, standing: Mapping[str, Status]) -> str:
        stable = [name for name in self._known(component) if standing.get(name) is Status.STABLE]
        if not stable:
            raise NothingStable(f"no version of {component} is stable", "mark one stable, or ask for one by number")
        newest = max(map(semver.Version.parse, stable))
        # Where it cannot be read this raises, and takes no other.
        infos = [self.describe(component, name) for name in stable if semver.Version.parse(name) == newest]
        return max((info for info in infos if info is not None), key=lambda info: info.order).version

    def _local(self, info: VersionInfo) -> Path:
        """The directory of a version in the cache, pulled where it is not there."""
        path = self.cache.root / info.component / info.version
        if not self._is_here(info, path):
            locks = self.cache.root / ".locks"
            locks.mkdir(parents=True, exist_ok=True)
            with locked(locks / f"{info.component}-{info.version}"):
                if not self._is_here(info, path):
                    self._pull(info, path)
        return path

    def _is_here(self, info: VersionInfo, path: Path) -> bool:
        if not path.is_dir():
            return False
        if self.cache.find(info.component, info.version).info != info:
            raise IntegrityError(
                f"{path} is another {info.component} {info.version} than that of {self.origin.url}",
                "give each registry a cache of its own; a published version never changes",
            )
        return True

    def _pull(self, info: VersionInfo, path: Path) -> None:
        what = f"{info.component} {info.version} from {self.origin.url}"
        described = self._infos[info.component, info.version][0]
        with staging(self.cache, info.component, info.version) as stage:
            try:
                self.origin.fetch(info, stage)
            except IntegrityError:
                self._demand_version(info)
                raise
            known = [other for _, other in self._infos.values() if other.component == info.component]
            if found := damage(stage, info, full=True, others=known) or damage(stage, info):
                raise IntegrityError(
                    f"{what} is not as it was published: {'; '.join(found)}", "pull again, or restore it"
                )
            for file in info.files:
                sync_file(stage / file.path)
            write_new(stage / VERSION_FILE, described)
            with self.cache.changing(info.component):
                arrive(self.cache, stage, path)

    def _demand_version(self, info: VersionInfo) -> None:
        """Raises Unknown where it is none any more: a collector has withdrawn it since it was looked at."""
        self.forget(info.component, info.version)
        if self.describe(info.component, info.version) is None:
            raise self._unknown(info.component, info.version)

    def _remember(self, component: str, changes: list[StatusChange] | None = None) -> list[StatusChange]:
        """The remote's status log, copied into the cache for the time when it is out of reach."""
        changes = self.origin.changes(component) if changes is None else changes
        if changes and changes != self._seen.get(component):
            try:
                self._store(component_directory(self.cache.root, component), changes)
            except OSError as error:
                # The answer stands all the same; what was seen is missing only while the remote is away.
                _log.warning("the status of %s is not kept in the cache: %s", component, error)
            else:
                self._seen[component] = changes
        return changes

    def _store(self, folder: Path, changes: list[StatusChange]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with self.cache.changing(folder.name):
            try:
                held = statuslog.read(folder / STATUS_FILE)
            except IntegrityError:
                held = []
            # Another process may have seen more: a log only grows.
            if not held or held[-1].at <= changes[-1].at:
                replace(folder / STATUS_FILE, b"".join(map(statuslog.encode, changes)))

    def _ask(self, remote: Callable[[], _Answer], cached: Callable[[], _Answer]) -> _Answer:
        wait = self._away_until - self._monotonic()
        away = RegistryUnavailable(f"{self.origin.url} did not answer lately", retry_after=max(wait, 0.1))
        if wait <= 0:
            try:
                return remote()
            except RegistryUnavailable as error:
                away = error
                self._away_until = self._monotonic() + PAUSE_S
                _log.warning("the cache answers: %s", error)
            except OSError as error:
                raise RegistryUnavailable(f"the cache {self.cache.root} cannot be used: {error}") from error
        try:
            return cached()
        except (Unknown, NothingStable, RegistryUnavailable):
            raise away from None

    def _numbers(self, component: str) -> list[str]:
        return [name for name in self.origin.published(component) if self._is_whole(component, name)]

    def _is_whole(self, component: str, version: str) -> bool:
        try:
            return self.describe(component, version) is not None
        except IntegrityError:
            return True

    def _known(self, component: str) -> list[str]:
        component_directory(self.cache.root, component)
        if names := self._numbers(component):
            return names
        raise Unknown(f"no component {component!r} at {self.origin.url}", f"there is {', '.join(self.components())}")

    def _number(self, component: str, version: str) -> str:
        names = self._known(component)
        try:
            name = canonical_version(version)
        except (ValueError, TypeError):
            raise self._unknown(component, repr(version)) from None
        if name not in names:
            raise self._unknown(component, name)
        return name

    def _unknown(self, component: str, version: str) -> ModelHostError:
        return Unknown(f"no version {version} of {component}", f"there is {', '.join(self._numbers(component))}")
