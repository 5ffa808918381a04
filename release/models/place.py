"""Where versions of models are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from release.errors import UsageError


@dataclass(frozen=True)
class Place:
    """`where` is a directory or a URL. `cache` is a folder for what is pulled; each URL has its own in it."""

    where: str
    cache: Path

    @property
    def directory(self) -> Path | None:
        """The registry's directory; None for a URL that leads elsewhere. Raises UsageError for another host's file."""
        if "://" not in self.where:
            return Path(self.where)
        parts = urlsplit(self.where)
        if parts.scheme != "file":
            return None
        path = Path(unquote(parts.path))
        if parts.netloc or not path.is_absolute():
            raise UsageError(f"{self.where} names no absolute path of this host", hint="file:///srv/models")
        return path

    @property
    def pulled(self) -> Path:
        return self.cache / hashlib.sha256(self.where.rstrip("/").encode()).hexdigest()[:16]
