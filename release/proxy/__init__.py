"""nginx in front of the two slots: installed, verified, and traffic moved in it. No container is known here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from release.config.manifest import Manifest
    from release.proxy.base import Proxy


def open(manifest: Manifest, state: Path) -> Proxy:
    """The proxy that the manifest asks for; nothing is touched until one of its methods is called."""
    from release.proxy.included import IncludedNginx
    from release.proxy.nginx import ManagedNginx
    from release.proxy.rewritten import RewrittenNginx

    if manifest.proxy.switch == "rewrite":
        return RewrittenNginx(manifest, state)
    if manifest.proxy.kind == "included":
        return IncludedNginx(manifest, state)
    return ManagedNginx(manifest, state)
