"""Which processes wait for callers at the same port as this one: those that hold the same listening socket, or one of
their own at the same address (SO_REUSEPORT), as /proc tells. On Linux; elsewhere nobody does.

Of a process that changed its user after its start, as the workers of `gunicorn --user` do, /proc shows nobody the
sockets: it is asked what it listens at (`inodes`), which it sees of itself, and `are_here` compares.
"""

from __future__ import annotations

import functools
import logging
import os
import re
import socket
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

_LISTENS = "0A"  # TCP_LISTEN, in the column `st` of /proc/net/tcp
_log = logging.getLogger(__name__)


def answers_here(process: str) -> bool | None:
    """Whether another process waits where this one does; None where the system does not show its sockets."""
    if not _listening():
        return False
    try:
        return are_here(_sockets_of(process))
    except OSError:
        return None if _lives(process) else False


def inodes() -> set[int]:
    """Of the sockets at which this process waits for callers."""
    return set(_listening())


def are_here(theirs: Collection[int]) -> bool:
    """Whether this process waits at one of these sockets, which are another's, or at the address of one."""
    here = _listening()
    if not here.keys().isdisjoint(theirs):
        return True
    shared = [inode for inode, is_shared in here.items() if is_shared]
    if not shared:
        return False
    addresses = dict(_addresses())
    mine = {addresses[inode] for inode in shared if inode in addresses}
    return any(addresses.get(inode) in mine for inode in theirs)


def is_likely_here(process: str) -> bool:
    """What is left to say of one that is not shown and does not answer: whether it was started by whoever started this
    one, as workers of one server are. Where it was not, that nothing is known of it is logged, once."""
    with suppress(OSError, ValueError, IndexError):
        if _parent(process) == os.getppid():
            return True
    _unknown(process)
    return False


@functools.lru_cache(maxsize=1000)
def _unknown(process: str) -> None:
    """Said once of each."""
    _log.warning(
        "whether process %s answers at the port of this one is not known: it does not say so, and /proc/%s/fd cannot "
        "be read, as of a process that changed its user after its start; start the service as the user that it runs as",
        process,
        process,
    )


def _parent(process: str) -> int:
    """The second field behind the name, in which there may be anything: proc_pid_stat(5)."""
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def _lives(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except PermissionError:
        return True
    except (OSError, ValueError, OverflowError):
        return False
    return True


def _sockets_of(process: str) -> set[int]:
    """Raises OSError where they are not shown."""
    return {inode for each in Path(f"/proc/{process}/fd").iterdir() if (inode := _inode(each)) is not None}


def _listening() -> dict[int, bool]:
    """Inode of each socket at which this process waits → whether others may have one of their own at its address."""
    found: dict[int, bool] = {}
    with suppress(OSError):
        for path in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                if (inode := _inode(path)) is not None:
                    with _copy(int(path.name)) as each:
                        if each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                            found[inode] = bool(each.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT))
    return found


def _addresses() -> Iterator[tuple[int, str]]:
    """Inode → address and port of every TCP socket that listens, this process's own or not: proc_net_tcp(5)."""
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if len(fields) > 9 and fields[3] == _LISTENS:
                    yield int(fields[9]), f"{table} {fields[1]}"


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
