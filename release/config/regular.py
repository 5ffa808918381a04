"""Reading files that a person named: regular ones, since a FIFO or a device would be waited for without an end."""

from __future__ import annotations

import os
import stat
from errno import EINVAL
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


def read(path: Path, most: int = -1) -> bytes:
    """The content, `most` bytes of it at most. Raises OSError, also for what is no regular file: its `strerror` says
    what it is instead."""
    # Without O_NONBLOCK the opening of a FIFO would already wait for somebody who writes.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    if kind != stat.S_IFREG:
        os.close(descriptor)
        raise OSError(EINVAL, f"it is {_KINDS.get(kind, 'something else')} and no regular file", str(path))
    with os.fdopen(descriptor, "rb") as file:
        return file.read(most)
