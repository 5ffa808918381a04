"""A registry's home on an object store, through fsspec: S3 and whatever else stores whole objects under keys.

    <url>/<component>/<version>/version.json        written last, and only where there is none yet
    <url>/<component>/<version>/content/<sha256>    the files: whoever writes such a key writes the same bytes
    <url>/<component>/<version>/<path>              the files, where a registry's directory was copied up by hand
    <url>/<component>/status/<time>-<random>.json   one for each change: a store cannot append
    <url>/<component>/status.jsonl                  the log until then, where a directory was copied up

Two who publish one version at once cannot mix their files, and what one left who was killed is no version.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modelhost.errors import ConfigError, Refused, RegistryUnavailable
from modelhost.metadata import VersionInfo
from modelhost.registry import statuslog
from modelhost.registry.base import StatusChange
from modelhost.registry.layout import STATUS_FILE, VERSION_FILE, is_component, is_version

CONTENT = "content"
STATUS = "status"
# Stores that create an object only where there is none, as one act (S3: If-None-Match). fsspec's own way for the
# others asks first and then writes.
_EXCLUSIVE = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"})
# A service that asks at start-up falls back on its cache; it must not wait for minutes first.
_S3_PATIENCE = {"connect_timeout": 3, "read_timeout": 30, "retries": {"max_attempts": 1}}


class ObjectStore:
    """The objects below a URL. Every failure of the store is a RegistryUnavailable; absence is an empty answer."""

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        """`options` go to fsspec: keys, endpoint. Raises ConfigError where a package for the URL is not installed."""
        self.url = url.rstrip("/")
        protocol = url.split("://")[0]
        given = dict(options or {})
        if protocol in ("s3", "s3a"):
            given["config_kwargs"] = _S3_PATIENCE | dict(given.get("config_kwargs", {}))
        self._fs, self._root = _connect(self.url, given)
        self._exclusive = protocol in _EXCLUSIVE
        self._changes: dict[str, StatusChange] = {}

    def components(self) -> list[str]:
        """Names of what may be components. Raises RegistryUnavailable where there is nothing at all."""
        names = self._names("")
        if not names:
            raise RegistryUnavailable(f"there is no registry at {self.url}", "publish a first version, or mend the URL")
        return [name for name in names if is_component(name)]

    def published(self, component: str) -> list[str]:
        """Numbers of what may be versions: without a `version.json` it is none."""
        names = [name for name in self._names(component) if is_version(name)]
        if not names:
            self.components()
        return names

    def describe(self, component: str, version: str) -> bytes | None:
        """The bytes of a `version.json`, None where there is none."""
        return self._read(f"{component}/{version}/{VERSION_FILE}")

    def changes(self, component: str) -> list[StatusChange]:
        """Every change of status, the oldest first. Raises IntegrityError."""
        names = self._names(component)
        whole = (self._read(f"{component}/{STATUS_FILE}") or b"") if STATUS_FILE in names else b""
        lines = whole[: whole.rfind(b"\n") + 1].splitlines()
        log = [statuslog.decode(line, f"line {n} of {component}/{STATUS_FILE}") for n, line in enumerate(lines, 1)]
        if STATUS not in names:
            return log
        keys = [f"{component}/{STATUS}/{name}" for name in sorted(self._names(f"{component}/{STATUS}"))]
        return log + [change for key in keys if (change := self._change(key)) is not None]

    def record(self, component: str, change: StatusChange) -> None:
        """Store one change; its name sorts by its time."""
        name = f"{change.at:%Y%m%dT%H%M%S.%f}-{os.urandom(6).hex()}.json"
        self._create(f"{component}/{STATUS}/{name}", statuslog.encode(change))

    def fetch(self, info: VersionInfo, folder: Path) -> None:
        """Copy all files of a version into an empty local folder, unverified. Raises FileNotFoundError."""
        base = f"{info.component}/{info.version}"
        content = set(self._names(f"{base}/{CONTENT}"))
        for file in info.files:
            key = f"{base}/{CONTENT}/{file.sha256}" if file.sha256 in content else f"{base}/{file.path}"
            target = folder / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            with self._asking():
                self._fs.get_file(self._key(key), str(target))

    def deposit(self, info: VersionInfo, described: bytes, folder: Path) -> bool:
        """Store a version's files from a local folder, then its `version.json`; False where there was one already.

        Raises Refused on a store that cannot create exclusively: there two publishers could overwrite each other.
        """
        if not self._exclusive:
            raise Refused(
                f"{self.url} cannot tell whether somebody else publishes the same version",
                "publish to S3 or to a directory, and copy that up",
            )
        base = f"{info.component}/{info.version}"
        for file in info.files:
            self._put(folder / file.path, f"{base}/{CONTENT}/{file.sha256}", file.bytes)
        return self._create(f"{base}/{VERSION_FILE}", described)

    def _put(self, source: Path, key: str, size: int) -> None:
        with self._asking():
            try:
                if self._fs.info(self._key(key))["size"] == size:
                    return  # A publisher that was killed, or another one, has brought it already.
            except FileNotFoundError:
                pass
            self._fs.put_file(str(source), self._key(key))

    def _create(self, key: str, data: bytes) -> bool:
        with self._asking():
            try:
                self._fs.pipe_file(self._key(key), data, mode="create")
            except FileExistsError:
                return False
        return True

    def _change(self, key: str) -> StatusChange | None:
        if key not in self._changes:
            if (line := self._read(key)) is None:
                return None
            self._changes[key] = statuslog.decode(line, key)
        return self._changes[key]

    def _read(self, key: str) -> bytes | None:
        with self._asking():
            try:
                return bytes(self._fs.cat_file(self._key(key)))
            except FileNotFoundError:
                return None

    def _names(self, key: str) -> list[str]:
        """Last parts of what lies directly below a key, each once."""
        with self._asking():
            self._fs.invalidate_cache()
            try:
                found = self._fs.ls(self._key(key), detail=False)
            except FileNotFoundError:
                return []
        return sorted({name.rstrip("/").rsplit("/", 1)[-1] for name in found})

    def _key(self, key: str) -> str:
        return f"{self._root}/{key}".rstrip("/")

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, RegistryUnavailable):
            raise
        except Exception as error:  # The stores behind fsspec raise what they like; botocore's are not even OSErrors.
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
        raise ConfigError(f"{url} cannot be used: {error}", "file:///path, s3://bucket/path …") from error
    if hasattr(system, "retries"):
        system.retries = 2  # s3fs: five tries of its own, with growing pauses, around botocore's
    return system, str(root).rstrip("/")
