"""The few operations on a file system that must survive a power cut or a SIGKILL: write, lock, move, remove."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from modelhost.registry.layout import STAGING


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    _sync(path, os.O_DIRECTORY)


def sync_file(path: Path) -> None:
    """Make a file's content durable."""
    _sync(path, os.O_NOFOLLOW)


def _sync(path: Path, how: int) -> None:
    handle = os.open(path, os.O_RDONLY | how)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_new(path: Path, data: bytes) -> None:
    """Write a file that must not exist yet, durably. Raises FileExistsError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(handle)


def append_line(handle: int, line: bytes) -> None:
    """Append a line, with its newline, to a file that was opened for reading and appending, durably. Processes may
    share the file. A line that a crash cut is closed before."""
    fcntl.flock(handle, fcntl.LOCK_EX)  # until the handle is closed
    size = os.fstat(handle).st_size
    if size > 0 and os.pread(handle, 1, size - 1) != b"\n":
        line = b"\n" + line
    while line:
        line = line[os.write(handle, line) :]
    os.fsync(handle)


def replace(path: Path, data: bytes) -> None:
    """Replace a file's content as a whole: a reader sees the old bytes or the new ones.

    What a killed writer leaves has a staging name, which `staging.sweep` removes: hold what a sweeper holds.
    """
    temporary = path.with_name(f"{STAGING}{path.name}-{os.getpid()}-{os.urandom(4).hex()}")
    try:
        write_new(temporary, data)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a lock file, across threads and processes; the kernel frees it when a holder dies."""
    handle = _open_lock(path)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def try_lock(path: Path) -> int | None:
    """A handle that holds the lock until it is closed, or None where somebody else holds it."""
    handle = _open_lock(path)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except BaseException:
        os.close(handle)
        raise
    return handle


def _open_lock(path: Path) -> int:
    # Writable, because NFS turns flock into a byte-range lock, which wants that.
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)


def seal(folder: Path) -> None:
    """Take the write permission from everything in a folder, then make its names durable, the innermost first."""
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            Path(parent, name).chmod(0o444)
        sync_directory(Path(parent))
        Path(parent).chmod(0o555)


def remove(path: Path) -> None:
    """Unlink a sealed folder or a file; what others have mapped stays readable for them. Gone already is well."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for parent, _, _ in os.walk(path):
        with suppress(FileNotFoundError):
            Path(parent).chmod(stat.S_IRWXU)
    with suppress(FileNotFoundError):
        shutil.rmtree(path)
