"""A registry elsewhere, and a verified copy here: weights are mapped from the local cache alone.

The cache is a directory registry of its own, so what was pulled serves on when the registry is out of reach, with the
status that was last seen. A copy that was damaged is pulled again by whoever finds it so; see `copies`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace as changed
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from modelhost.errors import IntegrityError, InvalidRequest, NothingStable, RegistryUnavailable, Unknown
from modelhost.metadata import VersionInfo
from modelhost.registry import statuslog
from modelhost.registry.base import LATEST, Entry, Status, StatusChange
from modelhost.registry.catalogue import Catalogue
from modelhost.registry.copies import Copies
from modelhost.registry.directory import DirectoryRegistry, utc_now
from modelhost.registry.durable import replace
from modelhost.registry.layout import STATUS_FILE, component_directory
from modelhost.registry.origin import origin_at

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
        self._catalogue = Catalogue(self.origin)
        self._copies = Copies(self.origin, self.cache)
        self._monotonic = monotonic
        self._away_until = float("-inf")
        self._seen: dict[str, list[StatusChange]] = {}

    def components(self) -> list[str]:
        """Names of all components that have a version, sorted."""
        return self._ask(self._catalogue.components, self.cache.components)

    def versions(self, component: str) -> list[Entry]:
        """All readable versions, the newest first; without the remote, those in the cache."""
        return self._ask(
            lambda: self._entries(component), lambda: [*map(self._healable, self.cache.versions(component))]
        )

    def find(self, component: str, version: str = LATEST) -> Entry:
        """One version, or the newest stable one for `latest`, pulled and verified. Raises IntegrityError where what
        came is not what was published."""
        return self._one(self._find, component, version)

    def look(self, component: str, version: str = LATEST) -> Entry:
        """As `find`, and nothing is pulled: its files may not be here."""
        return self._one(self._look, component, version)

    def has_copy(self, component: str, version: str) -> bool:
        """Whether a copy of this version lies here, whole or damaged. Asks nobody."""
        return self._copies.path(component, version).is_dir()

    def mark(self, component: str, version: str, status: Status, who: str, why: str) -> StatusChange:
        """Record a change of status at the remote; durable on return. Raises RegistryUnavailable."""
        if not who.strip() or not why.strip():
            raise InvalidRequest(f"{component} {version} cannot be marked {status}", "say who marks it, and why")
        name = self._catalogue.number(component, version)
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
                self._catalogue.numbers(component)
            return changes

        return self._ask(ask, lambda: self.cache.log(component))

    def discard(self, component: str, version: str) -> None:
        """Remove a version's copy from the cache, such as a damaged one: the next `find` pulls it anew."""
        self._copies.discard(component, version)

    def heal(self, component: str, version: str, found: Sequence[str], full: bool = False) -> None:
        """Pull a version anew whose copy is damaged; `found` is what differs, `full` says by which look. Nothing is
        left to do where another process just did.

        Raises IntegrityError, which says what is damaged: the copy, and where the remote does not answer no more than
        that, or what lies at the remote as well.
        """
        what = f"the copy of {component} {version} in the cache is damaged: {'; '.join(found)}"
        try:
            self._reached(lambda: self._heal(component, version, found, full))
        except RegistryUnavailable as error:
            raise IntegrityError(
                f"{what}; and the registry cannot be reached: {error.message}",
                "it is pulled again by itself as soon as that answers",
            ) from error
        except OSError as error:
            raise IntegrityError(
                f"{what}; and it could not be replaced: {error}",
                f"look at the space and permissions of {self.cache.root}",
            ) from error
        except Unknown as error:
            raise IntegrityError(
                f"{what}; and {self.origin.url} has it no more: {error.message}", error.hint
            ) from error
        except IntegrityError as error:
            raise IntegrityError(
                f"{what}; and what lies at {self.origin.url} is damaged as well: {error.message}",
                "restore it there, or publish anew under another number",
            ) from error

    def forget(self, component: str, version: str) -> None:
        """Remember no more what the remote said of a version."""
        self._catalogue.forget(component, version)

    def describe(self, component: str, version: str) -> VersionInfo | None:
        """What the remote says of a version, None where it has none. Raises IntegrityError, RegistryUnavailable."""
        found = self._catalogue.look(component, version)
        return None if found is None else found.info

    def _one(self, remote: Callable[[str, str], Entry], component: str, version: str) -> Entry:
        return self._ask(
            lambda: remote(component, version), lambda: self._healable(self.cache.find(component, version))
        )

    def _find(self, component: str, version: str) -> Entry:
        entry = self._look(component, version)
        self._bring(component, entry.version)
        return entry

    def _look(self, component: str, version: str) -> Entry:
        standing = statuslog.standing(self._remember(component))
        catalogue = self._catalogue
        name = (
            catalogue.newest_stable(component, standing) if version == LATEST else catalogue.number(component, version)
        )
        return self._entry(catalogue.get(component, name).info, standing)

    def _entries(self, component: str) -> list[Entry]:
        self._catalogue.numbers(component)
        standing = statuslog.standing(self._remember(component))
        entries = []
        for name in self.origin.published(component):
            try:
                info = self.describe(component, name)
            except IntegrityError as error:
                _log.warning("left out: %s", error)
                continue
            if info is not None:
                entries.append(self._entry(info, standing))
        return sorted(entries, key=lambda entry: entry.info.order, reverse=True)

    def _bring(self, component: str, version: str) -> None:
        """Where it is not here; its files are looked at by whoever uses them."""
        try:
            found = self._copies.bring(self._catalogue.get(component, version), self._catalogue.remembered(component))
        except IntegrityError:
            self._catalogue.renew(component, version)  # raises Unknown where it is none any more
            raise
        if found:
            self.heal(component, version, found)

    def _heal(self, component: str, version: str, found: Sequence[str], full: bool) -> None:
        try:
            self._copies.heal(self._catalogue.get(component, version), found, full)
        except IntegrityError:
            self._catalogue.renew(component, version)
            raise

    def _entry(self, info: VersionInfo, standing: Mapping[str, Status]) -> Entry:
        path = self._copies.path(info.component, info.version)
        return self._healable(Entry(info, path, standing.get(info.version, Status.UNSTABLE)))

    def _healable(self, entry: Entry) -> Entry:
        return changed(entry, heal=partial(self.heal, entry.component, entry.version))

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
        try:
            return self._reached(remote)
        except RegistryUnavailable as error:
            away = error
        except OSError as error:
            raise RegistryUnavailable(f"the cache {self.cache.root} cannot be used: {error}") from error
        try:
            return cached()
        except (Unknown, NothingStable, RegistryUnavailable):
            raise away from None
        except IntegrityError as error:
            raise IntegrityError(
                f"the cache is damaged: {error.message}; and the registry cannot be reached: {away.message}",
                "it is pulled again by itself as soon as that answers",
            ) from error

    def _reached(self, ask: Callable[[], _Answer]) -> _Answer:
        """The remote's answer. Raises RegistryUnavailable, for a while after a failure without asking."""
        wait = self._away_until - self._monotonic()
        if wait > 0:
            raise RegistryUnavailable(f"{self.origin.url} did not answer lately", retry_after=max(wait, 0.1))
        try:
            return ask()
        except RegistryUnavailable as error:
            self._away_until = self._monotonic() + PAUSE_S
            _log.warning("without the registry for now: %s", error)
            raise
