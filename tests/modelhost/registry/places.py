"""Where a remote registry lies in tests: a mounted directory, fsspec's memory, and S3 spoken over HTTP on loopback."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelhost.registry.remote import RemoteRegistry


@dataclass
class Place:
    """Where a remote registry lies, and ways to damage it."""

    url: str
    options: dict[str, Any] = field(default_factory=dict)
    write: Callable[[str, bytes], None] = lambda key, data: None
    names: Callable[[], list[str]] = list
    stop: Callable[[], None] = lambda: None

    def registry(self, cache: Path, **given: Any) -> RemoteRegistry:
        return RemoteRegistry(self.url, cache, self.options, **given)
