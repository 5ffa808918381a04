"""Images that several scopes use: two environments that name the same `image`, or one built for another host.

An image says in its labels whose it is, and labels cannot be added to it. So each further scope holds it by a tag of
its own, `release-held/<scope>:<release>`, and so does the scope that it was built for, once it has to share. Whoever
lets go takes its tag away; the image goes with the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from release import naming
from release.daemon import Daemon
from release.image.store import Image

_HELD = "release-held/"


class Shared:
    """The holds of one daemon. Every method raises EngineError where it does not answer."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def hold(self, image: Image, tags: Sequence[str], scope: str, *, pulled: bool) -> None:
        """Keeps `image`, whose tags are `tags`, for `scope`. One that was `pulled` is nobody else's on this host."""
        owner, release = image.labels.get(naming.LABEL_SCOPE, ""), image.reference.rpartition(":")[2]
        others = held(tags)
        if owner == scope and not others:
            return  # its labels say enough
        holders = {scope} if others or pulled or not owner else {scope, owner}
        for holder in sorted(holders):
            with self._daemon.errors(f"hold {image.reference} for {holder}"):
                self._daemon.api.tag(image.id, _HELD + holder, release)

    def rows(self, scope: str) -> list[dict[str, Any]]:
        """The images that `scope` holds, as the daemon lists them: with no tag but the hold."""
        with self._daemon.errors("list images"):
            rows: list[dict[str, Any]] = self._daemon.api.images(name=_HELD + scope)
        return rows


def held(tags: Sequence[str]) -> list[str]:
    """Those of an image's tags that are holds."""
    return [tag for tag in tags if tag.startswith(_HELD)]
