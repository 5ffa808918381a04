"""A cluster's place on an object store: the store itself creates an object only where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelhost.errors import ConfigError
from modelhost.registry.bucket import EXCLUSIVE, Bucket
from modelhost.registry.layout import CLUSTERS

# Members ask every second: who hangs for minutes is taken for dead.
_READ_TIMEOUT = 5.0
_TRIES = 1


class ObjectPlace:
    """The `Place` protocol below a URL. Raises ConfigError for a store on which two writers could both succeed."""

    def __init__(self, url: str, group: str, options: Mapping[str, Any] | None = None) -> None:
        if url.split("://")[0] not in EXCLUSIVE:
            raise ConfigError(
                f"{url} cannot hold a cluster's state: two writers could both succeed there",
                f"one of {', '.join(sorted(EXCLUSIVE - {'memory'}))}, or a directory that all mount",
            )
        self._bucket = Bucket(url, options, read_timeout=_READ_TIMEOUT, tries=_TRIES)
        self.url = self._bucket.url
        self._base = f"{CLUSTERS}/{group}"

    def read(self, key: str) -> bytes | None:
        """See Place."""
        return self._bucket.read(f"{self._base}/{key}")

    def create(self, key: str, data: bytes) -> bool:
        """See Place."""
        return self._bucket.create(f"{self._base}/{key}", data)

    def put(self, key: str, data: bytes) -> None:
        """See Place."""
        self._bucket.put(f"{self._base}/{key}", data)

    def names(self, folder: str) -> list[str]:
        """See Place."""
        return self._bucket.names(f"{self._base}/{folder}")

    def remove(self, key: str) -> None:
        """See Place."""
        self._bucket.remove(f"{self._base}/{key}")
