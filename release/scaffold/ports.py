"""Ports of the host for a new service: none that another service was given, none that something listens on."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection

from release.errors import Unusable
from release.scaffold.findings import Ports

_FIRST_LISTEN, _FIRST_SLOT, _ADMIN_OFFSET, _TRIES = 8080, 8101, 10000, 1000


def pick(taken: Collection[int], is_free: Callable[[int], bool]) -> Ports:
    """A listener, its admin port and two neighbouring slots. Raises Unusable where there are none."""
    used = set(taken)

    def usable(*ports: int) -> bool:
        return all(port not in used and is_free(port) for port in ports)

    slots = range(_FIRST_SLOT, _FIRST_SLOT + _TRIES, 2)
    blue = next((port for port in slots if usable(port, port + 1)), None)
    if blue is not None:
        used |= {blue, blue + 1}
        for listen in range(_FIRST_LISTEN, _FIRST_LISTEN + _TRIES):
            if usable(listen, listen + _ADMIN_OFFSET):
                return Ports(listen, listen + _ADMIN_OFFSET, blue, blue + 1)
    raise Unusable(
        f"no free ports between {_FIRST_LISTEN} and {_FIRST_LISTEN + _TRIES}",
        hint="write slots and proxy.listen by hand, or stop services that are not needed",
    )


def port_is_free(port: int) -> bool:
    """True where nothing on this host listens on the port, on any of its addresses."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection that is closing takes no port
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
        return True
