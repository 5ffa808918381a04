"""Folders beside the state that several users and runs share: made writable for the group, locked, errors told."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from release.errors import BuildFailed


def make_folder(path: Path) -> None:
    """`mkdir -p`; below a setgid folder, which a group shares, what it makes is the group's to write, whatever the
    umask. Raises OSError."""
    missing = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        if folder.stat().st_mode & stat.S_ISGID:
            folder.chmod(0o2775)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock file `path`, waiting for whoever has it. Another user's file, which is only to be read, locks as
    well. Raises BuildFailed where it cannot be had."""
    with writing(path.parent):
        make_folder(path.parent)
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o664)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def writing(place: Path) -> Iterator[None]:
    """Maps OSError to BuildFailed: `place` is full, or not this user's to write."""
    try:
        yield
    except OSError as error:
        raise BuildFailed(
            f"cannot write to {place}: {error.strerror or error}",
            hint=f"has it room, and may this user write there? df {place}; ls -ld {place}",
        ) from error
