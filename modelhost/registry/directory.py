"""A registry in a directory, here or on a network file system. Reading takes no lock, and is cheap to repeat."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import semver

from modelhost.errors import IntegrityError, InvalidRequest, NothingStable, RegistryUnavailable, Unknown
from modelhost.metadata import VersionInfo, canonical_version
from modelhost.registry import statuslog
from modelhost.registry.base import LATEST, Entry, Status, StatusChange
from modelhost.registry.durable import locked
from modelhost.registry.layout import (
    LOCK_FILE,
    STATUS_FILE,
    VERSION_FILE,
    component_directory,
    is_component,
    is_version,
    local,
    parse,
    undescribed,
)

_log = logging.getLogger(__name__)
_Stamp = tuple[int, int, int]


def utc_now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


class DirectoryRegistry:
    """The `Registry` protocol over `<root>/<component>/<version>/`; `layout` draws the whole.

    What was read stays in memory while the file's inode, size and time are the same, so that a repeated question costs
    a few calls of stat. Threads may share one. Raises ConfigError for a URL, which is a RemoteRegistry's.
    """

    def __init__(self, root: Path | str, clock: Callable[[], datetime] = utc_now) -> None:
        self.root = local(root)
        self.clock = clock
        self._infos: dict[Path, tuple[_Stamp, VersionInfo]] = {}
        self._logs: dict[Path, tuple[_Stamp, tuple[StatusChange, ...]]] = {}

    def components(self) -> list[str]:
        """Names of all components that have a version, sorted."""
        with self._reading():
            names = [entry.name for entry in os.scandir(self.root) if entry.is_dir(follow_symlinks=False)]
        return sorted(name for name in names if is_component(name) and self.published(name))

    def published(self, component: str) -> list[str]:
        """Version numbers that have a directory, in no order, readable or not; none for an unknown component."""
        folder = component_directory(self.root, component)
        with self._reading():
            if not self.root.is_dir():
                raise FileNotFoundError(self.root)
            if not folder.is_dir() or folder.is_symlink():
                return []
            names = [entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
        return [name for name in names if is_version(name)]

    def versions(self, component: str) -> list[Entry]:
        """All readable versions, the newest first; one that is broken is left out with a warning, `find` says why."""
        names = self._known(component)
        standing = self._standing(component)
        entries = []
        for name in names:
            try:
                entries.append(self._entry(component, name, standing))
            except IntegrityError as error:
                _log.warning("left out: %s", error)
            except Unknown:
                continue  # It left between the listing and the reading.
        return sorted(entries, key=lambda entry: entry.info.order, reverse=True)

    def find(self, component: str, version: str = LATEST) -> Entry:
        """One version, or the newest stable one for `latest`: where that is broken, this raises and takes no other."""
        names = self._known(component)
        standing = self._standing(component)
        if version == LATEST:
            return self._newest_stable(component, names, standing)
        return self._entry(component, self._canonical(component, version), standing)

    def mark(self, component: str, version: str, status: Status, who: str, why: str) -> StatusChange:
        """Append to the status log; durable on return. Raises Unknown, InvalidRequest without a who and a why."""
        if not who.strip() or not why.strip():
            raise InvalidRequest(f"{component} {version} cannot be marked {status}", "say who marks it, and why")
        self._known(component)
        with self._reading(), self.changing(component):
            name = self._canonical(component, version)
            if name not in self.published(component):
                raise self._unknown(component, name)
            return self.record(component, name, status, who, why)

    def record(self, component: str, version: str, status: Status, who: str, why: str) -> StatusChange:
        """Append without asking whether there is such a version: for those who hold `changing`. Raises OSError."""
        change = StatusChange(self.clock(), version, Status(status), who, why)
        self.append(component, change)
        return change

    def append(self, component: str, change: StatusChange) -> None:
        """Append a change that was made elsewhere, as it is. Raises OSError."""
        statuslog.append(self._status_file(component), change)

    def log(self, component: str) -> list[StatusChange]:
        """Every change of status, the oldest first. Raises Unknown, IntegrityError for an unreadable line."""
        changes = self.changes(component)
        if not changes:
            self._known(component)
        return list(changes)

    def changes(self, component: str) -> tuple[StatusChange, ...]:
        """The status log as it stands, empty where there is none, of versions that have left too."""
        path = self._status_file(component)
        with self._reading():
            try:
                stamp = _stamp(path.stat())
            except FileNotFoundError:
                return ()
            held = self._logs.get(path)
            if held is None or held[0] != stamp:
                # The stamp is older than the content: at worst the next question reads the same again.
                held = (stamp, tuple(statuslog.read(path)))
                self._logs[path] = held
            return held[1]

    @contextmanager
    def changing(self, component: str) -> Iterator[None]:
        """Held while a version arrives, leaves or is marked; the component's directory must exist. Not reentrant."""
        with locked(component_directory(self.root, component) / LOCK_FILE):
            yield

    def _known(self, component: str) -> list[str]:
        names = self.published(component)
        if not names:
            raise Unknown(f"no component {component!r} in {self.root}", _there_is(self.components()))
        return names

    def _unknown(self, component: str, version: str) -> Unknown:
        names = sorted(self.published(component), key=_precedence, reverse=True)
        return Unknown(f"no version {version} of {component}", _there_is(names))

    def _canonical(self, component: str, version: str) -> str:
        try:
            return canonical_version(version)
        except (ValueError, TypeError):
            self._known(component)
            raise self._unknown(component, f"{version!r:.80}") from None

    def _newest_stable(self, component: str, names: list[str], standing: dict[str, Status]) -> Entry:
        stable = [name for name in names if standing.get(name) is Status.STABLE]
        if not stable:
            raise NothingStable(f"no version of {component} is stable", "mark one stable, or ask for one by number")
        newest = max(map(_precedence, stable))
        # More than one only where they differ in build metadata, which SemVer does not order.
        entries = [self._entry(component, name, standing) for name in stable if _precedence(name) == newest]
        return max(entries, key=lambda entry: entry.info.order)

    def _entry(self, component: str, version: str, standing: dict[str, Status]) -> Entry:
        folder = component_directory(self.root, component) / version
        info = self._info(folder, component, version)
        return Entry(info, folder, standing.get(version, Status.UNSTABLE))

    def _info(self, folder: Path, component: str, version: str) -> VersionInfo:
        path = folder / VERSION_FILE
        with self._reading():
            try:
                kind = folder.lstat().st_mode
            except FileNotFoundError:
                self._known(component)
                raise self._unknown(component, version) from None
            if not stat.S_ISDIR(kind):
                raise IntegrityError(f"{folder} is no directory", "a version is a directory, and never a link to one")
            try:
                status = path.lstat()
            except FileNotFoundError:
                raise undescribed(folder) from None
            if not stat.S_ISREG(status.st_mode):
                raise IntegrityError(f"{path} is no regular file", "links are not followed in a registry")
            held = self._infos.get(path)
            if held is None or held[0] != _stamp(status):
                held = (_stamp(status), parse(path.read_bytes(), str(path), component, version))
                self._infos[path] = held
            return held[1]

    def _status_file(self, component: str) -> Path:
        return component_directory(self.root, component) / STATUS_FILE

    def _standing(self, component: str) -> dict[str, Status]:
        return statuslog.standing(self.changes(component))

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise RegistryUnavailable(
                f"no registry at {self.root}: {error.filename or error} is not there", "is the file system mounted?"
            ) from error
        except OSError as error:
            raise RegistryUnavailable(f"the registry at {self.root} cannot be used: {error}") from error


def _stamp(status: os.stat_result) -> _Stamp:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _precedence(version: str) -> semver.Version:
    return semver.Version.parse(version)


def _there_is(names: list[str]) -> str:
    return f"there is {', '.join(names)}" if names else "there is none yet: publish one"
