"""What the host itself tells an engine: memory, disk, GPUs, and who holds a port. Linux, read from /proc."""

from __future__ import annotations

import contextlib
import errno
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from release.errors import EngineError


def memory_available() -> int | None:
    """Bytes that new processes can have without swapping (MemAvailable); None where the host does not tell."""
    return _meminfo("MemAvailable")


def memory_total() -> int | None:
    return _meminfo("MemTotal")


def disk_free(path: str) -> int | None:
    """Bytes free for this user on the file system that holds `path`."""
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return None


def gpus() -> int | None:
    """NVIDIA GPUs that the driver shows; None without a driver."""
    try:
        return len(list(Path("/proc/driver/nvidia/gpus").iterdir()))
    except OSError:
        return None


def port_owner(port: int) -> str | None:
    """The process that listens on `port` where it can be told, `another process` where not, None where it is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return _listener(port) or "another process"
            raise EngineError(f"cannot use port {port}: {error.strerror}", hint="choose slots above 1023") from error
    return None


def _listener(port: int) -> str | None:
    inodes = _listening_inodes(port)
    for process in Path("/proc").glob("[0-9]*"):
        if any(link in inodes for link in _links(process / "fd")):
            with contextlib.suppress(OSError):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return None


def _links(folder: Path) -> Iterator[str]:
    """What the open files of a process are; nothing for another user's process, or one that has just gone."""
    with contextlib.suppress(OSError):
        for link in folder.iterdir():
            with contextlib.suppress(OSError):
                yield str(link.readlink())


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(f"socket:[{fields[9]}]")
    return found


def _meminfo(key: str) -> int | None:
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return None
    match = re.search(rf"^{key}:\s+(\d+) kB$", text, re.MULTILINE)
    return int(match[1]) * 1024 if match else None
