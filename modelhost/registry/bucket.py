"""Whole objects below a URL, through fsspec: read, created only where there is none, put, listed, removed."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelhost.errors import ConfigError, RegistryUnavailable

# Stores that create an object only where there is none, as one act (S3: If-None-Match). fsspec's own way for the
# others asks first and then writes.
EXCLUSIVE = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"})

# What S3 says where there is an object already (not every store names the condition, by which s3fs would know), and
# where somebody else writes it at the same moment: nobody has won yet, and who asks again is told who did.
_THERE_IS_ONE = frozenset({"PreconditionFailed", "412"})
_UNDECIDED = frozenset({"ConditionalRequestConflict", "409"})
_UNDECIDED_TRIES = 5
_UNDECIDED_PAUSE = 0.1

# What the stores behind fsspec call the time at which an object came.
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "modified", "created")


@dataclass(frozen=True, slots=True)
class Object:
    """One object of a listing: its key, its size, and when it was written last, None where the store does not say."""

    key: str
    bytes: int
    at: datetime | None


class Bucket:
    """Every failure of the store is a RegistryUnavailable; absence is an empty answer."""

    def __init__(self, url: str, options: Mapping[str, Any] | None = None, *, read_timeout: float, tries: int) -> None:
        """`options` go to fsspec: keys, endpoint. An S3 store has `read_timeout` seconds for an answer, `tries` times.

        Raises ConfigError where a package for the URL is not installed, or the URL cannot be used.
        """
        self.url = url.rstrip("/")
        protocol = url.split("://")[0]
        given = dict(options or {})
        if protocol in ("s3", "s3a"):
            patience = {"connect_timeout": 3, "read_timeout": read_timeout, "retries": {"max_attempts": 1}}
            given["config_kwargs"] = patience | dict(given.get("config_kwargs", {}))
        self.exclusive = protocol in EXCLUSIVE
        self._fs, self._root = _connect(self.url, given)
        if hasattr(self._fs, "retries"):
            self._fs.retries = tries  # s3fs: five tries of its own, with growing pauses, around botocore's

    def read(self, key: str) -> bytes | None:
        """The object's bytes; None where there is none."""
        with self._asking(), suppress(FileNotFoundError):
            return bytes(self._fs.cat_file(self._key(key)))
        return None

    def create(self, key: str, data: bytes) -> bool:
        """Write the object where there is none yet; False where there is one. One act where `exclusive`."""
        with self._asking():
            for pause in [_UNDECIDED_PAUSE] * (_UNDECIDED_TRIES - 1) + [0.0]:
                try:
                    self._fs.pipe_file(self._key(key), data, mode="create")
                    return True
                except FileExistsError:
                    return False
                except OSError as error:
                    said = _code(error)
                    if said in _THERE_IS_ONE:
                        return False
                    if said not in _UNDECIDED or not pause:
                        raise
                time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def put(self, key: str, data: bytes) -> None:
        """Write the object, over whatever was there."""
        with self._asking():
            self._fs.pipe_file(self._key(key), data)

    def upload(self, source: Path, key: str, size: int) -> None:
        """Write a local file of `size` bytes, unless an object of that size has brought it already."""
        with self._asking():
            with suppress(FileNotFoundError):
                if self._fs.info(self._key(key))["size"] == size:
                    return
            self._fs.put_file(str(source), self._key(key))

    def download(self, key: str, target: Path) -> None:
        """Write the object into a local file. Raises FileNotFoundError where there is none."""
        with self._asking():
            self._fs.get_file(self._key(key), str(target))

    def names(self, folder: str) -> list[str]:
        """Last parts of what lies directly below a key, each once, sorted."""
        found: list[str] = []
        with self._asking(), suppress(FileNotFoundError):
            self._fs.invalidate_cache()
            found = self._fs.ls(self._key(folder), detail=False)
        return sorted({name.rstrip("/").rsplit("/", 1)[-1] for name in found})

    def keys(self, folder: str) -> list[str]:
        """Keys of all objects below a key, sorted."""
        return [each.key for each in self.objects(folder)]

    def objects(self, folder: str) -> list[Object]:
        """All objects below a key, sorted by their keys, as they are there at this moment."""
        found: dict[str, dict[str, Any]] = {}
        with self._asking(), suppress(FileNotFoundError):
            self._fs.invalidate_cache()
            found = self._fs.find(self._key(folder), detail=True)
        root = self._root.strip("/")
        keys = {name: name.strip("/").removeprefix(root).lstrip("/") for name in found}
        listed = [Object(keys[name], int(info.get("size") or 0), _time(info)) for name, info in found.items()]
        return sorted(listed, key=lambda each: each.key)

    def remove(self, key: str) -> None:
        """Remove the object, if it is there."""
        with self._asking(), suppress(FileNotFoundError):
            self._fs.rm_file(self._key(key))

    def _key(self, key: str) -> str:
        return f"{self._root}/{key}".rstrip("/")

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except Exception as error:  # The stores behind fsspec raise what they like; botocore's are not even OSErrors.
            reason = re.sub(r"\s+", " ", str(error))[:300] or type(error).__name__
            raise RegistryUnavailable(
                f"{self.url} does not answer: {reason}", "look at its address and keys"
            ) from error


def _code(error: OSError) -> str:
    """What S3 called an error, which botocore raised and s3fs translated; nothing where it was another."""
    response = getattr(error.__cause__, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def _time(info: Mapping[str, Any]) -> datetime | None:
    said = next((info[name] for name in _TIMES if info.get(name) is not None), None)
    if isinstance(said, str):
        with suppress(ValueError):
            said = datetime.fromisoformat(said)
    if isinstance(said, int | float):
        said = datetime.fromtimestamp(said, UTC)
    if not isinstance(said, datetime):
        return None
    return said if said.tzinfo is not None else said.replace(tzinfo=UTC)


def _connect(url: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    import fsspec  # type: ignore[import-untyped]

    try:
        system, root = fsspec.core.url_to_fs(url, use_listings_cache=False, skip_instance_cache=True, **options)
    except ImportError as error:
        raise ConfigError(
            f"{url} needs a package that is not installed: {error}", "pip install s3fs, for s3://"
        ) from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{url} cannot be used: {error}", "file:///path, s3://bucket/path …") from error
    return system, str(root).rstrip("/")
