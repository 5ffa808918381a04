"""Which processes wait for callers at the same port as this one: those that hold the same listening socket, as /proc
tells. On Linux; elsewhere nobody does."""

from __future__ import annotations

import functools
import logging
import os
import re
import socket
from contextlib import suppress
from pathlib import Path

_log = logging.getLogger(__name__)


def answers_here(process: str) -> bool:
    """Whether another process has a socket that this one listens at; False where /proc does not say, which is logged
    where that is for want of a right."""
    here = _listening_at()
    try:
        return any(_inode(each) in here for each in Path(f"/proc/{process}/fd").iterdir())
    except PermissionError:
        _closed(process)
        return False
    except OSError:
        return False


@functools.lru_cache(maxsize=1000)
def _closed(process: str) -> None:
    """Said once of each."""
    _log.warning(
        "whether process %s answers at the port of this one is not known: /proc/%s/fd cannot be read, as of a process "
        "that changed its user after its start; start the service as the user that it runs as",
        process,
        process,
    )


def _listening_at() -> set[int]:
    """Inodes of the sockets at which this process waits for callers."""
    found: set[int] = set()
    with suppress(OSError):
        for path in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                if (inode := _inode(path)) is not None:
                    with _copy(int(path.name)) as each:
                        if each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                            found.add(inode)
    return found


def _copy(descriptor: int) -> socket.socket:
    """Raises OSError where it is no socket any more: the number was another file's in the meantime."""
    copy = os.dup(descriptor)
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise


def _inode(link: Path) -> int | None:
    """Of the socket that a file descriptor is; None for anything else."""
    try:
        match = re.fullmatch(r"socket:\[(\d+)\]", str(link.readlink()))
    except FileNotFoundError:  # closed meanwhile
        return None
    return int(match[1]) if match else None
