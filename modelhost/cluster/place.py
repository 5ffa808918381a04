"""Where a cluster keeps what its members share: small files below the registry's root, of which some can only be made.

    <root>/.cluster/<group>/desired/<revision>.json      see `desired`
    <root>/.cluster/<group>/members/<key>.json           see `members`
    <root>/.cluster/<group>/coordinators/<generation>.json
    <root>/.cluster/<group>/told/<generation>.json       see `announcements`
    <root>/.cluster/<group>/rejected/<rejection>.json

A group is one service: two services on one registry do not follow each other. The root itself is never made: where a
file system is not mounted, there is no registry.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from modelhost.errors import ConfigError, RegistryUnavailable
from modelhost.metadata import NAME
from modelhost.registry.durable import sync_directory, write_new
from modelhost.registry.layout import CLUSTERS

_TEMPORARY = ".new-"
_ABANDONED_S = 3600.0


class Place(Protocol):
    """Keys are `folder/name`. All raise RegistryUnavailable, after which a change may have happened or not."""

    url: str

    def read(self, key: str) -> bytes | None:
        """The content of a file, whole, or None where there is none."""

    def create(self, key: str, data: bytes) -> bool:
        """Make a file that must not exist yet, whole and durable; False where there was one. Of two, one succeeds."""

    def put(self, key: str, data: bytes) -> None:
        """Make or replace a file as a whole; the next power cut may take it."""

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, sorted; none where it was never written to."""

    def remove(self, key: str) -> None:
        """Remove a file; gone already is well."""


class DirectoryPlace:
    """On a local or network file system: exclusive by a hard link, which NFS too makes for one caller alone."""

    def __init__(self, root: Path, group: str) -> None:
        self.root = root
        self.url = root.absolute().as_uri()
        self._base = root / CLUSTERS / _sound(group)
        self._seen = False  # the folder of the group, by this process

    def read(self, key: str) -> bytes | None:
        """See Place."""
        with self._using():
            try:
                return (self._base / key).read_bytes()
            except FileNotFoundError:
                self._demand_root()
                return None

    def create(self, key: str, data: bytes) -> bool:
        """See Place."""
        path = self._base / key
        with self._using():
            self._make_folder(path.parent)
            temporary = _temporary(path)
            try:
                write_new(temporary, data)
                _sweep(temporary)
                made = _link(temporary, path)
            finally:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
            if made:
                sync_directory(path.parent)
            return made

    def put(self, key: str, data: bytes) -> None:
        """See Place."""
        path = self._base / key
        with self._using():
            self._make_folder(path.parent)
            temporary = _temporary(path)
            try:
                temporary.write_bytes(data)
                _sweep(temporary)
                temporary.rename(path)
            except BaseException:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
                raise

    def names(self, folder: str) -> list[str]:
        """See Place."""
        with self._using():
            try:
                found = [path.name for path in (self._base / folder).iterdir()]
            except FileNotFoundError:
                self._demand_root()
                return []
        return sorted(name for name in found if not name.startswith("."))

    def remove(self, key: str) -> None:
        """See Place."""
        with self._using():
            (self._base / key).unlink(missing_ok=True)

    def _demand_root(self) -> None:
        if not self.root.is_dir():
            raise self._out_of_reach("there is no such directory")

    def _make_folder(self, folder: Path) -> None:
        """One after the other, so that a root which is away is not made anew; nor is a group's folder that was there:
        another file system is mounted, or none, since whoever writes looked."""
        if not folder.is_dir():
            for each in (folder,) if self._seen else (self._base.parent, self._base, folder):
                each.mkdir(exist_ok=True)
        self._seen = True

    @contextmanager
    def _using(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            raise self._out_of_reach(f"{error.strerror or error}{where}") from error

    def _out_of_reach(self, what: str) -> RegistryUnavailable:
        return RegistryUnavailable(
            f"{self.root}, where the cluster keeps its state, cannot be used: {what}", "is the file system mounted?"
        )


def place_at(url: str | Path, group: str, options: Mapping[str, Any] | None = None) -> Place:
    """The place in the registry at a path or URL (`/mnt/models`, `file:///mnt/models`, `s3://bucket/path`); `options`
    go to fsspec. Raises ConfigError."""
    parts = urlsplit(str(url))
    if parts.scheme in ("", "file") and not parts.netloc:
        return DirectoryPlace(Path(unquote(parts.path) if parts.scheme else str(url)), group)
    from modelhost.cluster.objects import ObjectPlace

    return ObjectPlace(str(url), _sound(group), options)


def _sound(group: str) -> str:
    if re.fullmatch(NAME, group) is None:
        raise ConfigError(f"{group!r} is no name of a group", "lower-case letters and digits, parts joined by . _ or -")
    return group


def _temporary(path: Path) -> Path:
    return path.with_name(f"{_TEMPORARY}{path.name}-{os.getpid()}-{os.urandom(4).hex()}")


def _link(temporary: Path, path: Path) -> bool:
    try:
        os.link(temporary, path)
    except FileExistsError:
        # An answer of NFS that was lost makes the client ask again, and find its own link.
        return temporary.stat().st_nlink == 2
    return True


def _sweep(fresh: Path) -> None:
    """Remove what killed writers left; both times are those of the file system, whatever clock the host has."""
    now = fresh.stat().st_mtime
    for path in fresh.parent.glob(f"{_TEMPORARY}*"):
        with suppress(OSError):
            if now - path.stat().st_mtime > _ABANDONED_S:
                path.unlink()
