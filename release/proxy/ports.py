"""Who holds a TCP port, read from /proc. nginx says only that it is in use, and at a reload not even that."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

from release.errors import ProxyError

_LISTEN = "0A"


def free(address: str, port: int) -> bool:
    """True where nginx could listen there now."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise ProxyError(
                f"nginx cannot listen on {address}:{port}: {error.strerror}",
                hint="choose another proxy.listen or proxy.address in the manifest, or run with the right to bind it",
            ) from error
    return True


def conflict(address: str, port: int) -> ProxyError:
    """The error for a port that somebody else holds; names the holder where it can be told."""
    holder = owner(port)
    who = f"held by {holder}" if holder else "held by another program"
    return ProxyError(
        f"port {port} on {address} is {who}",
        hint=f"stop it (`ss -ltnp 'sport = :{port}'` shows it), or choose another port in the manifest's proxy section",
        port=port,
    )


def owner(port: int) -> str | None:
    """`nginx (pid 17)`: the process that listens on `port`; None where nobody does or it cannot be told."""
    inodes = _listening(port)
    for process in Path("/proc").iterdir() if inodes else ():
        if process.name.isdigit() and _sockets(process) & inodes:
            return f"{_command(process)} (pid {process.name})"
    return None


def _listening(port: int) -> set[str]:
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/net", table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    return inodes


def _sockets(process: Path) -> set[str]:
    found = set()
    try:
        for descriptor in (process / "fd").iterdir():
            try:
                found.add(str(descriptor.readlink()))
            except OSError:
                continue
    except OSError:  # another user's process, or one that has just ended
        return set()
    return found


def _command(process: Path) -> str:
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return "a process"
    return os.fsdecode(words[0]).strip() or "a process"
