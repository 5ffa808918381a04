"""A registry's home on an object store, through fsspec: S3 and whatever else stores whole objects under keys.

    <url>/<component>/<version>/version.json        written last, and only where there is none yet
    <url>/<component>/<version>/content/<sha256>    the files: whoever writes such a key writes the same bytes
    <url>/<component>/<version>/<path>              the files, where a registry's directory was copied up by hand
    <url>/<component>/<version>/.publishing-….json  while somebody brings it up, until its version.json is there
    <url>/<component>/<version>/.sweeping-….json    while a collector removes what was never published: `abandoned`
    <url>/<component>/<version>/.withdrawn.json     what was its version.json, while a collector removes the version
    <url>/<component>/status/<time>-<random>.json   one for each change: a store cannot append
    <url>/<component>/status.jsonl                  the log until then, where a directory was copied up

Two who publish one version at once cannot mix their files, and what one left who was killed is no version.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from modelhost.errors import Refused, RegistryUnavailable
from modelhost.metadata import File, VersionInfo
from modelhost.registry import statuslog
from modelhost.registry.base import StatusChange
from modelhost.registry.bucket import Bucket, Object
from modelhost.registry.layout import STATUS_FILE, VERSION_FILE, incomplete, is_component, is_version

CONTENT = "content"
WITHDRAWN = ".withdrawn.json"
PUBLISHING = ".publishing-"
SWEEPING = ".sweeping-"
SWEEPS_FOR = timedelta(hours=1)  # A collector's mark that is older is that of one who was killed.
STATUS = "status"
_LOOKS = 4
# A service that asks at start-up falls back on its cache; it must not wait for minutes first.
_READ_TIMEOUT = 30.0
_TRIES = 2


class ObjectStore:
    """The objects below a URL. Every failure of the store is a RegistryUnavailable; absence is an empty answer."""

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        """`options` go to fsspec: keys, endpoint. Raises ConfigError where a package for the URL is not installed."""
        self._bucket = Bucket(url, options, read_timeout=_READ_TIMEOUT, tries=_TRIES)
        self.url = self._bucket.url
        self._changes: dict[str, StatusChange] = {}

    def components(self) -> list[str]:
        """Names of what may be components. Raises RegistryUnavailable where there is nothing at all."""
        names = self._bucket.names("")
        if not names:
            raise RegistryUnavailable(f"there is no registry at {self.url}", "publish a first version, or mend the URL")
        return [name for name in names if is_component(name)]

    def published(self, component: str) -> list[str]:
        """Numbers of what may be versions: without a `version.json` it is none."""
        names = [name for name in self._bucket.names(component) if is_version(name)]
        if not names:
            self.components()
        return names

    def describe(self, component: str, version: str) -> bytes | None:
        """The bytes of a `version.json`, None where there is none."""
        return self._bucket.read(f"{component}/{version}/{VERSION_FILE}")

    def changes(self, component: str) -> list[StatusChange]:
        """Every change of status, the oldest first. Raises IntegrityError."""
        names = self._bucket.names(component)
        whole = (self._bucket.read(f"{component}/{STATUS_FILE}") or b"") if STATUS_FILE in names else b""
        lines = whole[: whole.rfind(b"\n") + 1].splitlines()
        log = [statuslog.decode(line, f"line {n} of {component}/{STATUS_FILE}") for n, line in enumerate(lines, 1)]
        if STATUS not in names:
            return log
        keys = [f"{component}/{STATUS}/{name}" for name in sorted(self._bucket.names(f"{component}/{STATUS}"))]
        return log + [change for key in keys if (change := self._change(key)) is not None]

    def record(self, component: str, change: StatusChange) -> None:
        """Store one change; its name sorts by its time."""
        name = f"{change.at:%Y%m%dT%H%M%S.%f}-{os.urandom(6).hex()}.json"
        self._bucket.create(f"{component}/{STATUS}/{name}", statuslog.encode(change))

    def fetch(self, info: VersionInfo, folder: Path) -> None:
        """Copy all files of a version into an empty local folder, unverified. Raises IntegrityError where some are
        missing."""
        missing = []
        base = f"{info.component}/{info.version}"
        content = set(self._bucket.names(f"{base}/{CONTENT}"))
        for file in info.files:
            key = f"{base}/{CONTENT}/{file.sha256}" if file.sha256 in content else f"{base}/{file.path}"
            target = folder / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._bucket.download(key, target)
            except FileNotFoundError:
                missing.append(file.path)
        if missing:
            raise incomplete(info, self.url, missing)

    def deposit(self, info: VersionInfo, described: bytes, folder: Path) -> bool:
        """Store a version's files from a local folder, then its `version.json`; False where there was one already.

        It is written when all files are there: of a publication that broke off long ago, with which this one goes on,
        a collector may have swept some. Raises RegistryUnavailable while one is at it, Refused on a store that cannot
        create exclusively: there two publishers could overwrite each other.
        """
        if not self._bucket.exclusive:
            raise Refused(
                f"{self.url} cannot tell whether somebody else publishes the same version",
                "publish to S3 or to a directory, and copy that up",
            )
        base = f"{info.component}/{info.version}"
        mark = f"{base}/{PUBLISHING}{os.urandom(6).hex()}.json"
        try:
            self._bring_up(info, folder, mark)
            created = self._bucket.create(f"{base}/{VERSION_FILE}", described)
            if created and _missing(info, self._bucket.objects(base)):
                # Longer than a collector's grace lay between its look and the line before.
                self._bucket.remove(f"{base}/{VERSION_FILE}")
                raise _swept(info, self.url)
            return created
        finally:
            with suppress(RegistryUnavailable):
                self._bucket.remove(mark)

    def _bring_up(self, info: VersionInfo, folder: Path, mark: str) -> None:
        """All files; afterwards a collector that looks sees the mark, and one that looked before was seen."""
        base = f"{info.component}/{info.version}"
        for _ in range(_LOOKS):
            self._bucket.put(mark, b"{}")
            objects = self._bucket.objects(base)
            if _is_being_swept(objects, mark):
                break
            missing = _missing(info, objects)
            if not missing:
                return
            for file in missing:
                self._bucket.upload(folder / file.path, f"{base}/{CONTENT}/{file.sha256}", file.bytes)
        raise _swept(info, self.url)

    # -- on the way out --------------------------------------------------------------------------------------------

    @property
    def bucket(self) -> Bucket:
        """What lies below the URL, for who wants to know what clusters keep there."""
        return self._bucket

    def withdraw(self, component: str, version: str, described: bytes) -> None:
        """Make it no version any more, with all of it still there: the first step out, which `restore` takes back."""
        base = f"{component}/{version}"
        self._bucket.put(f"{base}/{WITHDRAWN}", described)
        self._bucket.remove(f"{base}/{VERSION_FILE}")

    def withdrawn(self, component: str) -> list[str]:
        """Versions that a collector has withdrawn, and neither restored nor cleared."""
        parts = [key.split("/") for key in self._bucket.keys(component)]
        return [each[1] for each in parts if len(each) == 3 and each[2] == WITHDRAWN and is_version(each[1])]

    def restore(self, component: str, version: str) -> None:
        """Make what was withdrawn a version again."""
        base = f"{component}/{version}"
        described = self._bucket.read(f"{base}/{WITHDRAWN}")
        if described is not None:
            self._bucket.create(f"{base}/{VERSION_FILE}", described)
            self._bucket.remove(f"{base}/{WITHDRAWN}")

    def clear(self, component: str, version: str) -> None:
        """Remove what is left of a version that was withdrawn; nothing of one that was restored meanwhile."""
        base = f"{component}/{version}"
        if self.describe(component, version) is not None:
            return
        for key in self._bucket.keys(base):
            if key != f"{base}/{WITHDRAWN}":
                self._bucket.remove(key)
        self._bucket.remove(f"{base}/{WITHDRAWN}")

    def _change(self, key: str) -> StatusChange | None:
        if key not in self._changes:
            if (line := self._bucket.read(key)) is None:
                return None
            self._changes[key] = statuslog.decode(line, key)
        return self._changes[key]


def _missing(info: VersionInfo, objects: Iterable[Object]) -> list[File]:
    """The files of a version that are not among the objects, or with another size."""
    there = {(each.key, each.bytes) for each in objects}
    base = f"{info.component}/{info.version}/{CONTENT}"
    return [file for file in info.files if (f"{base}/{file.sha256}", file.bytes) not in there]


def _is_being_swept(objects: Iterable[Object], mark: str) -> bool:
    """Whether a collector that lives is at it, by the store's own clock: `mark` was written just now."""
    objects = list(objects)
    now = next((each.at for each in objects if each.key == mark), None)
    times = [each.at for each in objects if each.key.rsplit("/", 1)[-1].startswith(SWEEPING)]
    return any(now is None or at is None or now - at < SWEEPS_FOR for at in times)


def _swept(info: VersionInfo, url: str) -> RegistryUnavailable:
    return RegistryUnavailable(
        f"{info.component} {info.version} is not published: a collector clears what was left below its number at {url}",
        "publish it again in a minute; a collector that was killed is waited for, for an hour",
        retry_after=60.0,
    )
