"""Whether the files of a version are those that were published: fast at start-up, by sha256 on demand."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from modelhost.errors import IntegrityError
from modelhost.metadata import File, VersionInfo
from modelhost.registry import digests
from modelhost.registry.base import Entry
from modelhost.registry.layout import VERSION_FILE, is_version, parse


def check_files(entry: Entry, *, full: bool = False, others: Iterable[VersionInfo] = ()) -> None:
    """Raise IntegrityError that names each file that is not as published, and what differs.

    By size and XXH3-128, or with `full` by sha256 (1 GB: about 0.2 s or 3 s). `others`: versions whose files may lie
    here by mistake, to say so, beside those that lie next to it. A damaged copy of what lies elsewhere is replaced, and
    this raises only where that did not help.
    """
    if not damage(entry.path, entry.info, full=full):
        return
    # Slower, and it can tell whose content lies there.
    found = damage(entry.path, entry.info, full=full, others=[*neighbours(entry), *others])
    if found and entry.heal is not None:
        entry.heal(found, full)
    elif found:
        raise IntegrityError(
            f"{entry.component} {entry.version} is not as it was published: {'; '.join(found)}",
            f"restore the files in {entry.path}, or publish anew under another number",
        )


def damage(path: Path, info: VersionInfo, *, full: bool = False, others: Iterable[VersionInfo] = ()) -> list[str]:
    """What differs in the directory, a phrase for each file, those not published last; empty where all is well."""
    known = _by_content([info, *others], info, full)
    found = []
    for file in info.files:
        if problem := _problem(path, file, known, full):
            found.append(f"{file.path} {problem}")
    return found + [f"{name} was not published" for name in _strangers(path, info)]


def neighbours(entry: Entry) -> list[VersionInfo]:
    """What the versions beside this one say of themselves, as far as that can be read."""
    found = []
    for folder in sorted(entry.path.parent.glob("*/")):
        if folder.name == entry.version or not is_version(folder.name):
            continue
        with suppress(IntegrityError, OSError):
            where = folder / VERSION_FILE
            found.append(parse(where.read_bytes(), str(where), entry.component, folder.name))
    return found


def _problem(folder: Path, file: File, known: dict[tuple[int, str], str], full: bool) -> str | None:
    path = folder / file.path
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            return "is a link, and was published as a file"
        if not stat.S_ISREG(status.st_mode):
            return "is no file"
        # Of another size: its digest matters only where that can tell whose content it is.
        if status.st_size != file.bytes and not any(size == status.st_size for size, _ in known):
            return _resized(status.st_size, file.bytes)
        digest = digests.sha256_of(path) if full else digests.fast_of(path)
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if status.st_size == file.bytes and digest == _digest(file, full):
        return None
    if owner := known.get((status.st_size, digest)):
        return f"has the content of {owner}: swapped"
    return "was changed" if status.st_size == file.bytes else _resized(status.st_size, file.bytes)


def _resized(has: int, wanted: int) -> str:
    return f"is cut to {has} of {wanted} bytes" if has < wanted else f"has grown from {wanted} to {has} bytes"


def _by_content(infos: list[VersionInfo], ours: VersionInfo, full: bool) -> dict[tuple[int, str], str]:
    known: dict[tuple[int, str], str] = {}
    for info in infos:
        owner = "" if info is ours else f" of {info.component} {info.version}"
        for file in info.files:
            if file.bytes:
                known.setdefault((file.bytes, _digest(file, full)), file.path + owner)
    return known


def _digest(file: File, full: bool) -> str:
    return file.sha256 if full else file.fast


def _strangers(folder: Path, info: VersionInfo) -> list[str]:
    published = {VERSION_FILE, *(file.path for file in info.files)}
    names = []
    for parent, folders, files in os.walk(folder):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        names += [Path(parent, name).relative_to(folder).as_posix() for name in (*files, *links)]
    return sorted(set(names) - published)
