"""Publishing: a folder of weights and what is to be said of it become a version, whole or not at all.

A version number is taken for good: it never means other weights, not even after its files were collected.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from modelhost.errors import Conflict, InvalidRequest, Refused, RegistryUnavailable, Unknown
from modelhost.metadata import File, VersionInfo
from modelhost.registry import digests
from modelhost.registry.base import Entry, Registry, Status, StatusChange
from modelhost.registry.completeness import complete
from modelhost.registry.directory import DirectoryRegistry, utc_now
from modelhost.registry.durable import write_new
from modelhost.registry.layout import VERSION_FILE
from modelhost.registry.mates import by_digest
from modelhost.registry.pickles import refuse_pickles
from modelhost.registry.staging import arrive, staging

_NOTHING = "0" * 64
_SHOWN = 300  # characters of a value that differs


@dataclass(frozen=True, slots=True)
class Published:
    """The version as the registry holds it; `fresh` is False where exactly this had been published before."""

    entry: Entry
    fresh: bool


def publish(
    root: Path | str,
    source: Path | Mapping[str, Path],
    metadata: Mapping[str, Any],
    *,
    who: str,
    allow_pickles: Collection[str] = (),
    clock: Callable[[], datetime] = utc_now,
) -> Published:
    """Copy a folder (or a mapping of name in the version → file) into the registry at `root` as an unstable version.

    `metadata` has the fields of `VersionInfo` but `files`; `created` is now where it is not given, and a mate may be
    named by the number that it has in this registry. Hidden files and a `version.json` at the top of the folder are
    left out. Repeating it with the same content is no error.

    Raises IncompleteMetadata (it names all that lacks), UnsafeWeights for pickles not in `allow_pickles`, Conflict
    where the number is taken, InvalidRequest for a folder that cannot be read, ConfigError for a URL (which is for
    `upload.publish_remote`), RegistryUnavailable.
    """
    registry = DirectoryRegistry(root, clock)
    files = gather(source)
    planned = plan(metadata, files, registry, clock)
    refuse_pickles(files, allow_pickles)
    component, version = planned.component, planned.version
    with _writing(registry):
        if registry.root.is_dir() and version in registry.published(component):
            info = complete(dict(planned), [_described(name, path) for name, path in files.items()])
            return _again(registry, info, who)
        with staging(registry, component, version) as stage:
            info = stage_version(stage, files, planned)
            refuse_pickles({name: stage / name for name in files}, allow_pickles)  # The source may have changed since.
            with registry.changing(component):
                _refuse_removed(registry, component, version)
                if arrive(registry, stage, registry.root / component / version):
                    registry.record(component, version, Status.UNSTABLE, who, f"published: {info.note}")
                    return Published(registry.find(component, version), True)
        return _again(registry, info, who)


def gather(source: Path | Mapping[str, Path]) -> dict[str, Path]:
    """The files to publish, name → file, sorted. A link is followed where it stays in the folder, and refused where
    it leaves it. Raises InvalidRequest, Refused."""
    if isinstance(source, Mapping):
        files = {name: Path(path) for name, path in sorted(source.items()) if name != VERSION_FILE}
        _refuse_irregular(files)
        return files
    source = Path(source)
    if not source.is_dir():
        raise InvalidRequest(f"{source} is no folder", "name the folder that holds the weights")
    files = {name: path for name, path in sorted(_walk(source, source)) if name != VERSION_FILE}
    _refuse_irregular(files)
    root = source.resolve()
    leaving = [name for name, path in files.items() if not path.resolve().is_relative_to(root)]
    if leaving:
        raise Refused(
            f"links lead out of {source}: {', '.join(leaving)}", "copy what they point at into the folder first"
        )
    return {name: path.resolve() for name, path in files.items()}


def plan(
    metadata: Mapping[str, Any], files: Mapping[str, Path], registry: Registry, clock: Callable[[], datetime]
) -> VersionInfo:
    """What will be published, but for the files' digests, checked before anything is copied; mates that are named by
    their number in the registry are named by their digest. Raises IncompleteMetadata, RegistryUnavailable."""
    unread = {name: _unread(name) for name in files}
    problems = [f"file name {name!r} leads out of the version" for name, file in unread.items() if file is None]
    said = {"created": clock(), **metadata}
    if isinstance(mates := said.get("mates"), Mapping):
        said["mates"], wrong = by_digest(mates, lambda component: _known(registry, component))
        problems += wrong
    return complete(said, [file for file in unread.values() if file is not None], problems)


def _known(registry: Registry, component: str) -> list[VersionInfo]:
    """The versions of a component that may not be there, in a registry that may not be there yet."""
    if isinstance(registry, DirectoryRegistry) and not registry.root.is_dir():
        return []
    try:
        return [entry.info for entry in registry.versions(component)]
    except (Unknown, InvalidRequest):
        return []


def stage_version(stage: Path, files: Mapping[str, Path], planned: VersionInfo) -> VersionInfo:
    """Copy the files into an empty directory, durably; `version.json` is written last. Raises OSError."""
    copied = []
    for name, path in files.items():
        target = stage / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copied.append(digests.copy(path, target, name))
    info = complete(dict(planned), copied)
    write_new(stage / VERSION_FILE, encode(info))
    return info


def encode(info: VersionInfo) -> bytes:
    """The bytes of a `version.json`."""
    return info.model_dump_json(indent=2).encode() + b"\n"


def changes(one: VersionInfo, other: VersionInfo) -> list[str]:
    """The fields in which a publication differs from the one before it, with what they said and say, and files by
    name; when they were made does not count."""
    fields = [name for name in VersionInfo.model_fields if name not in ("created", "files")]
    said = {name: (getattr(other, name), getattr(one, name)) for name in fields}
    found = [f"{name} ({_shown(then)} then, {_shown(now)} now)" for name, (then, now) in said.items() if then != now]
    ours, theirs = {file.path: file for file in one.files}, {file.path: file for file in other.files}
    return found + [path for path in sorted(ours.keys() | theirs.keys()) if ours.get(path) != theirs.get(path)]


def taken(info: VersionInfo, found: list[str]) -> Conflict:
    """The error for a number that means something else already."""
    return Conflict(
        f"{info.component} {info.version} was published before, with a difference in {', '.join(found)}",
        "a version never changes: take the next number",
    )


def _shown(value: object) -> str:
    """A field's value as JSON, which a person may have written."""
    text = json.dumps(to_jsonable_python(value), ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _again(registry: DirectoryRegistry, info: VersionInfo, who: str) -> Published:
    entry = registry.find(info.component, info.version)
    if found := changes(info, entry.info):
        raise taken(info, found)
    if not is_logged(registry.changes(info.component), info.version):
        with registry.changing(info.component):  # whoever brought it may hold this, on the way to the log
            if not is_logged(registry.changes(info.component), info.version):
                registry.record(info.component, info.version, Status.UNSTABLE, who, f"published: {info.note}")
    return Published(entry, False)


def is_logged(log: Iterable[StatusChange], version: str) -> bool:
    """Whether the log speaks of a version; it does not where its publisher was killed between arrival and log."""
    return any(change.version == version for change in log)


def _refuse_removed(registry: DirectoryRegistry, component: str, version: str) -> None:
    if version in registry.published(component):
        return
    if is_logged(registry.changes(component), version):
        raise Conflict(
            f"{component} {version} was published before, and its files were removed since",
            "a number never means other weights: take the next one",
        )


def _walk(folder: Path, top: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path, top)
        else:
            yield path.relative_to(top).as_posix(), path


def _refuse_irregular(files: Mapping[str, Path]) -> None:
    wrong = [name for name, path in files.items() if not _is_regular(path)]
    if wrong:
        raise Refused(
            f"these are no files: {', '.join(wrong)}",
            "a version is made of regular files: take out sockets, broken links and links to folders",
        )


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def _unread(name: str) -> File | None:
    try:
        return File(path=name, bytes=0, sha256=_NOTHING, fast=_NOTHING[:32])
    except ValueError:
        return None


def _described(name: str, path: Path) -> File:
    seen = digests.Digests()
    with path.open("rb", buffering=0) as file:
        for chunk in digests.chunks(file):
            seen.update(chunk)
    return seen.file(name)


@contextmanager
def _writing(registry: DirectoryRegistry) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RegistryUnavailable(
            f"nothing was published to {registry.root}: {error}", "look at its space and permissions"
        ) from error
