"""A folder as a value: its files, its digest, and modes and times that do not depend on this host."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from release.errors import SourceError

_LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
_LFS_POINTER_MOST = 1024  # bytes; a pointer file is smaller by its specification


def digest(tree: Path) -> str:
    """SHA-256 over paths, kinds, executable bits and content of a folder: equal for equal trees, wherever they lie."""
    total = hashlib.sha256()
    for path in sorted(files(tree)):
        kind = b"l" if path.is_symlink() else b"x" if path.stat().st_mode & 0o100 else b"f"
        content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
        name = os.fsencode(path.relative_to(tree))
        total.update(b"%s%d:%s%d:" % (kind, len(name), name, len(content)))
        total.update(content)
    return total.hexdigest()


def files(tree: Path) -> Iterator[Path]:
    """Files and links of a folder, at any depth; a link to a folder is a link."""
    for folder, folders, names in os.walk(tree):
        for name in names:
            yield Path(folder) / name
        for name in folders:
            if (Path(folder) / name).is_symlink():
                yield Path(folder) / name


def settle(tree: Path, time: float) -> None:
    """Modes and times depend on the commit alone, and not on this host's umask: the image's layers are the same."""
    for path in files(tree):
        if not path.is_symlink():
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
        os.utime(path, (time, time), follow_symlinks=False)
    for folder, _, _ in os.walk(tree):
        Path(folder).chmod(0o755)
        os.utime(folder, (time, time))


def copy(source: Path, target: Path) -> None:
    """Copies one file or link with its mode; one that was deleted meanwhile is left out."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # deleted in the working tree: not in it
        mode = source.lstat()
        if source.is_dir() and not source.is_symlink():
            raise SourceError(
                f"{source} is a repository inside this one", hint="ignore it in .gitignore, or make it part of this one"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target, follow_symlinks=False)
        if not target.is_symlink():
            target.chmod(mode.st_mode & 0o777)


def refuse_pointers(tree: Path) -> None:
    """Raises SourceError where a Git LFS pointer lies in place of the file it stands for."""
    found = []
    for path in files(tree):
        if not path.is_symlink() and path.stat().st_size <= _LFS_POINTER_MOST:
            with path.open("rb") as file:
                if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
                    found.append(str(path.relative_to(tree)))
    if found:
        raise SourceError(
            f"{len(found)} file(s) are Git LFS pointers and not their content, such as {sorted(found)[0]}",
            hint="apt-get install git-lfs && git lfs install && git lfs pull",
        )
