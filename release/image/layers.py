"""What builds leave behind: untagged layers, build stages and lost build containers of ours, known by their labels."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import Any

from release import naming
from release.daemon import Daemon, labels_filter, status
from release.errors import EngineError
from release.image import labels

CACHE = "release-cache"  # repository of the stages that are kept for the next build
_DISPOSABLE = (labels.ROLE_LAYER, labels.ROLE_IMAGE)  # where untagged: nobody can start it by name any more


class Layers:
    """Leftovers of one daemon. Every method raises EngineError where it does not answer."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def heads(self, scope: str) -> list[str]:
        """Untagged images of this scope that no other image stands on."""
        wanted = {naming.LABEL_SCOPE: scope, naming.LABEL_ROLE: None}
        with self._daemon.errors("list images"):
            rows = self._daemon.api.images(filters=labels_filter(wanted, dangling=True))
        return [row["Id"] for row in rows if row["Labels"].get(naming.LABEL_ROLE) in _DISPOSABLE]

    def keep_stages(self, scope: str, layers: Collection[str]) -> None:
        """Keeps the stages of the last build by a tag, so that the next one does not install the same packages again.

        `layers` are the short ids that the build told of. Stages of earlier builds that it did not use go; what
        they alone stood on is a leftover from then on.
        """
        kept = f"{CACHE}/{scope}"
        used = tuple(f"sha256:{layer}" for layer in layers)
        for reference, image in self._stages(scope):
            if not image.startswith(used):
                self.remove(reference)
        for head in self.heads(scope):
            if used and head.startswith(used):
                with self._daemon.errors("keep a build stage"):
                    self._daemon.api.tag(head, kept, head[7:19])

    def forget_stages(self, scope: str) -> None:
        for reference, _ in self._stages(scope):
            self.remove(reference)

    def _stages(self, scope: str) -> list[tuple[str, str]]:
        """Tag and id of every stage that is kept for this scope."""
        with self._daemon.errors("list images"):
            rows = self._daemon.api.images(name=f"{CACHE}/{scope}")
        return [(tag, row["Id"]) for row in rows for tag in row.get("RepoTags") or ()]

    def containers(self, scope: str) -> list[str]:
        """Build containers of this scope that do not run; none of them runs a release."""
        wanted = {naming.LABEL_SCOPE: scope, naming.LABEL_ROLE: labels.ROLE_LAYER}
        with self._daemon.errors("list containers"):
            rows = self._daemon.api.containers(all=True, filters=labels_filter(wanted))
        return [row["Id"] for row in rows if naming.LABEL_SLOT not in row["Labels"] and row["State"] != "running"]

    def sweep(self, scope: str, spare: Collection[str] = ()) -> None:
        """Removes every head and what is below it down to `spare` or to what something else stands on."""
        for head in self.heads(scope):
            if head not in spare:
                with contextlib.suppress(EngineError):  # what cannot go now is found again the next time
                    self.drop(head, spare)

    def drop(self, image: str | None, spare: Collection[str] = ()) -> None:
        """Removes an untagged layer of ours and those below it, as long as nothing else stands on them."""
        while image is not None and image not in spare:
            found = self._inspect(image)
            role = ((found.get("Config") or {}).get("Labels") or {}).get(naming.LABEL_ROLE)
            if not found or found.get("RepoTags") or role not in _DISPOSABLE:
                return
            try:
                self.remove(image)
            except EngineError as error:
                if status(error) == 409:
                    return
                raise
            image = found.get("Parent") or None

    def parent(self, image: str) -> str | None:
        return self._inspect(image).get("Parent") or None

    def remove(self, image: str) -> None:
        """Exactly this image, or this tag. Parents stay: the daemon would take somebody else's untagged base along."""
        try:
            with self._daemon.errors(f"remove image {image}"):
                self._daemon.api.remove_image(image, noprune=True)
        except EngineError as error:
            if status(error) != 404:
                raise

    def remove_container(self, container: str) -> None:
        try:
            with self._daemon.errors(f"remove build container {container[:12]}"):
                self._daemon.api.remove_container(container, v=True, force=True)
        except EngineError as error:
            if status(error) != 404 and "already in progress" not in error.message:
                raise

    def _inspect(self, image: str) -> dict[str, Any]:
        try:
            with self._daemon.errors(f"inspect image {image}"):
                found: dict[str, Any] = self._daemon.api.inspect_image(image)  # type: ignore[no-untyped-call]
        except EngineError as error:
            if status(error) == 404:
                return {}
            raise
        return found
