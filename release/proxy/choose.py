"""Which nginx: the one place in this room that knows both kinds."""

from __future__ import annotations

from pathlib import Path

from release.config.model import Manifest
from release.proxy.base import Proxy


def open_proxy(manifest: Manifest, state: Path) -> Proxy:
    """The proxy that the manifest asks for; nothing is installed or started by this."""
    from release.proxy.nginx import ManagedNginx

    return ManagedNginx(manifest, state)
