"""Where a remote registry lies: what is asked of such a place, and which kind a URL names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from modelhost.errors import ConfigError
from modelhost.metadata import VersionInfo
from modelhost.registry.base import StatusChange
from modelhost.registry.mounted import Mounted
from modelhost.registry.objects import ObjectStore


class Origin(Protocol):
    """Where versions are pulled from: `ObjectStore` or `Mounted`. All raise RegistryUnavailable."""

    url: str

    def components(self) -> list[str]: ...
    def published(self, component: str) -> list[str]: ...
    def describe(self, component: str, version: str) -> bytes | None: ...
    def changes(self, component: str) -> list[StatusChange]: ...
    def record(self, component: str, change: StatusChange) -> None: ...
    def fetch(self, info: VersionInfo, folder: Path) -> None: ...


def origin_at(url: str, options: Mapping[str, Any] | None = None) -> Origin:
    """The origin that a URL names; a path without a scheme is a mounted directory. Raises ConfigError."""
    parts = urlsplit(url)
    if parts.scheme in ("", "file"):
        path = Path(unquote(parts.path))
        if not path.is_absolute() or parts.netloc:
            raise ConfigError(f"{url} names no absolute path", "file:///mnt/models")
        return Mounted(path)
    return ObjectStore(url, options)
