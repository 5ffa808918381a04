"""A cluster's place on an object store, through fsspec: the store itself creates an object only where there is none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from modelhost.cluster.place import FOLDER
from modelhost.errors import ConfigError, RegistryUnavailable

# Stores that create exclusively as one act (S3: If-None-Match); fsspec's way for the others asks first, then writes.
_EXCLUSIVE = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"})
# Members ask every second: who hangs for minutes is taken for dead.
_S3_PATIENCE = {"connect_timeout": 3, "read_timeout": 5, "retries": {"max_attempts": 1}}


class ObjectPlace:
    """The `Place` protocol below a URL. Raises ConfigError for a store on which two writers could both succeed."""

    def __init__(self, url: str, group: str, options: Mapping[str, Any] | None = None) -> None:
        self.url = url.rstrip("/")
        protocol = url.split("://")[0]
        if protocol not in _EXCLUSIVE:
            raise ConfigError(
                f"{url} cannot hold a cluster's state: two writers could both succeed there",
                f"one of {', '.join(sorted(_EXCLUSIVE - {'memory'}))}, or a directory that all mount",
            )
        given = dict(options or {})
        if protocol in ("s3", "s3a"):
            given["config_kwargs"] = _S3_PATIENCE | dict(given.get("config_kwargs", {}))
        self._fs, root = _connect(self.url, given)
        self._base = f"{root}/{FOLDER}/{group}"

    def read(self, key: str) -> bytes | None:
        """See Place."""
        with self._asking():
            try:
                return bytes(self._fs.cat_file(f"{self._base}/{key}"))
            except FileNotFoundError:
                return None

    def create(self, key: str, data: bytes) -> bool:
        """See Place."""
        with self._asking():
            try:
                self._fs.pipe_file(f"{self._base}/{key}", data, mode="create")
            except FileExistsError:
                return False
        return True

    def put(self, key: str, data: bytes) -> None:
        """See Place."""
        with self._asking():
            self._fs.pipe_file(f"{self._base}/{key}", data)

    def names(self, folder: str) -> list[str]:
        """See Place."""
        with self._asking():
            self._fs.invalidate_cache()
            try:
                found = self._fs.ls(f"{self._base}/{folder}", detail=False)
            except FileNotFoundError:
                return []
        return sorted({name.rstrip("/").rsplit("/", 1)[-1] for name in found})

    def remove(self, key: str) -> None:
        """See Place."""
        with self._asking():
            try:
                self._fs.rm_file(f"{self._base}/{key}")
            except FileNotFoundError:
                return

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # The stores behind fsspec raise what they like.
            reason = re.sub(r"\s+", " ", str(error))[:300] or type(error).__name__
            raise RegistryUnavailable(
                f"{self.url} does not answer: {reason}", "look at its address and keys"
            ) from error


def _connect(url: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    import fsspec  # type: ignore[import-untyped]

    try:
        system, root = fsspec.core.url_to_fs(url, use_listings_cache=False, skip_instance_cache=True, **options)
    except ImportError as error:
        raise ConfigError(
            f"{url} needs a package that is not installed: {error}", "pip install s3fs, for s3://"
        ) from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{url} cannot be used: {error}", "s3://bucket/path …") from error
    if hasattr(system, "retries"):
        system.retries = 1
    return system, str(root).rstrip("/")
