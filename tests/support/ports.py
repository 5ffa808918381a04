"""Free ports, outside the range that the kernel hands to outgoing connections: a client must not take one meanwhile."""

from __future__ import annotations

import os
import random
import socket

_LOW, _HIGH = 20000, 32000
_random = random.Random(os.getpid())


def free_port() -> int:
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Distinct ports on which nothing listens, on any address."""
    found: list[int] = []
    while len(found) < count:
        port = _random.randrange(_LOW, _HIGH)
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found
