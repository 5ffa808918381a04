"""Free ports, outside the range that the kernel hands to outgoing connections: a client must not take one meanwhile.

Between the choice of a port and the moment when a service binds it, another process of tests could choose it as well.
So each process draws from a block of its own, which it reserves for its lifetime by an abstract socket: nothing lies on
the disk, and the reservation ends with the process, however that ends.
"""

from __future__ import annotations

import itertools
import os
import random
import socket
from collections.abc import Iterator

_LOW, _HIGH, _BLOCK = 10000, 32000, 500
_reserved: dict[int, tuple[socket.socket, Iterator[int]]] = {}  # by process: a fork has a block of its own


def free_port() -> int:
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Distinct ports on which nothing listens, on any address, and which no other process of tests is given."""
    found: list[int] = []
    for port in itertools.islice(_own(), _BLOCK):
        if _nobody_listens(port):
            found.append(port)
        if len(found) == count:
            return found
    raise AssertionError(f"no {count} ports are free among {_BLOCK}")


def _own() -> Iterator[int]:
    """This process's ports in turn, so that one comes again as late as can be."""
    if os.getpid() not in _reserved:
        _reserved[os.getpid()] = _reserve()
    return _reserved[os.getpid()][1]


def _reserve() -> tuple[socket.socket, Iterator[int]]:
    starts = list(range(_LOW, _HIGH, _BLOCK))
    random.Random(os.urandom(8)).shuffle(starts)
    for start in starts:
        held = socket.socket(socket.AF_UNIX)
        try:
            held.bind(f"\0release-tests-ports-{start}")
        except OSError:
            held.close()
            continue
        return held, itertools.cycle(range(start, start + _BLOCK))
    raise AssertionError("every block of ports is reserved by another process of tests")


def _nobody_listens(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True
