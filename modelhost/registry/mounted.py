"""A registry's home on a mounted file system (NFS): a directory registry, of which copies are taken."""

from __future__ import annotations

from pathlib import Path

from modelhost.errors import IntegrityError, RegistryUnavailable
from modelhost.metadata import VersionInfo
from modelhost.registry import digests
from modelhost.registry.base import StatusChange
from modelhost.registry.directory import DirectoryRegistry
from modelhost.registry.layout import VERSION_FILE, incomplete, undescribed


class Mounted:
    """The directory below which a registry lies. Every failure of the file system is a RegistryUnavailable."""

    def __init__(self, root: Path) -> None:
        self.url = root.as_uri()
        self.registry = DirectoryRegistry(root)

    def components(self) -> list[str]:
        """Names of the components."""
        return self.registry.components()

    def published(self, component: str) -> list[str]:
        """Numbers of the versions."""
        return self.registry.published(component)

    def describe(self, component: str, version: str) -> bytes | None:
        """The bytes of a `version.json`, None where there is no such version.

        Raises IntegrityError for a directory without one: here a version arrives as a whole, by rename.
        """
        folder = self.registry.root / component / version
        try:
            return (folder / VERSION_FILE).read_bytes()
        except FileNotFoundError:
            if folder.is_dir():
                raise undescribed(folder) from None
            return None
        except OSError as error:
            raise RegistryUnavailable(f"{self.url} cannot be read: {error}") from error

    def changes(self, component: str) -> list[StatusChange]:
        """Every change of status, the oldest first. Raises IntegrityError."""
        return list(self.registry.changes(component))

    def record(self, component: str, change: StatusChange) -> None:
        """Append one change."""
        try:
            with self.registry.changing(component):
                self.registry.append(component, change)
        except OSError as error:
            raise RegistryUnavailable(f"{self.url} cannot be written: {error}") from error

    def fetch(self, info: VersionInfo, folder: Path) -> None:
        """Copy all files of a version into an empty local folder, unverified. Raises IntegrityError where some are
        missing."""
        missing = []
        source = self.registry.root / info.component / info.version
        for file in info.files:
            target = folder / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            if (source / file.path).is_symlink():
                raise IntegrityError(f"{source / file.path} is a link", "links are not followed in a registry")
            try:
                digests.copy(source / file.path, target, file.path)
            except FileNotFoundError:
                missing.append(file.path)
            except OSError as error:
                raise RegistryUnavailable(f"{file.path} cannot be copied from {self.url}: {error}") from error
        if missing:
            raise incomplete(info, self.url, missing)
