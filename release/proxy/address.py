"""Addresses as nginx writes them. Pure."""

from __future__ import annotations

import ipaddress

from release.errors import ProxyError


def listen(address: str, port: int) -> str:
    """The address of a `listen` directive; IPv6 addresses get their brackets. Raises ProxyError for a host name."""
    try:
        ipaddress.ip_address(address)
    except ValueError as error:
        raise ProxyError(
            f"proxy.address {address!r} is no IP address", hint="write one of this host's, or 0.0.0.0 for all of them"
        ) from error
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
