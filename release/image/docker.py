"""The images of a Docker Engine. Ours are those that carry our labels; nothing else is ever touched."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from release import naming
from release.daemon import Daemon, labels_filter, status
from release.errors import BuildFailed, EngineError
from release.image import labels
from release.image.builder import Builder
from release.image.layers import Layers
from release.image.shared import Shared, held
from release.image.store import BuildRequest, Image, Progress
from release.naming import ReleaseName


class DockerImages:
    """ImageStore over the Docker SDK; see release/image/store.py for what each method promises."""

    def __init__(self, host: str | None = None) -> None:
        self._daemon = Daemon(host)
        self._layers = Layers(self._daemon)
        self._shared = Shared(self._daemon)

    def find(self, repository: str, release: ReleaseName) -> Image | None:
        return self._inspect(f"{repository}:{release}")

    def get(self, image_id: str) -> Image | None:
        return self._inspect(image_id)

    def all(self, scope: str) -> list[Image]:
        wanted = {naming.LABEL_SCOPE: scope, naming.LABEL_ROLE: labels.ROLE_IMAGE}
        with self._errors("list images"):
            rows = self._daemon.api.images(filters=labels_filter(wanted))
        own = [row for row in rows if not held(_tags(row))]
        return [_from_list(row) for row in (*own, *self._shared.rows(scope))]

    def hold(self, image: Image, scope: str, *, pulled: bool) -> None:
        self._shared.hold(image, self._tags(image.id), scope, pulled=pulled)

    def build(self, request: BuildRequest, progress: Progress) -> Image:
        reference = f"{request.repository}:{request.release}"
        built = self.get(Builder(self._daemon).build(request, reference, progress))
        if built is None:
            raise BuildFailed(f"{reference} was built and is gone", hint="is something else removing images here?")
        return built

    def remove(self, image: Image) -> None:
        # By its tag where it has one, so that a second tag that somebody else gave it keeps the image.
        named = self._inspect(image.reference) if image.reference else None
        parent = self._layers.parent(image.id)
        self._layers.remove(image.reference if named is not None and named.id == image.id else image.id)
        rest = self.get(image.id)
        ours = rest is not None and naming.LABEL_SCOPE in rest.labels  # else it was built by other means, by somebody
        if rest is not None and ours and held([image.reference]) and not held(self._tags(image.id)):
            self._layers.remove(rest.reference or rest.id)  # nobody holds it any more
            rest = self.get(image.id)
        if rest is None:
            self._layers.drop(parent)

    def leftovers(self, scope: str) -> list[str]:
        return self._layers.heads(scope) + self._layers.containers(scope)

    def discard(self, leftover: str) -> None:
        if leftover.startswith("sha256:"):
            self._layers.drop(leftover)
        else:
            self._layers.remove_container(leftover)

    def forget_cache(self, scope: str) -> None:
        self._layers.forget_stages(scope)

    def tag(self, image_id: str, repository: str, release: str) -> None:
        with self._errors(f"tag image {image_id[7:19]} as {repository}:{release}"):
            self._daemon.api.tag(image_id, repository, release)

    def _inspect(self, reference: str) -> Image | None:
        found = self._row(reference)
        return _from_inspect(found, reference) if found else None

    def _tags(self, image_id: str) -> list[str]:
        return _tags(self._row(image_id))

    def _row(self, reference: str) -> dict[str, Any]:
        """What the daemon says of an image; empty where it has none of this name."""
        try:
            with self._errors(f"inspect image {reference}"):
                found: dict[str, Any] = self._daemon.api.inspect_image(reference)  # type: ignore[no-untyped-call]
            return found
        except EngineError as error:
            if status(error) == 404:
                return {}
            raise

    def _errors(self, doing: str) -> contextlib.AbstractContextManager[None]:
        return self._daemon.errors(doing)


def _tags(row: Mapping[str, Any]) -> list[str]:
    return [tag for tag in row.get("RepoTags") or [] if tag != "<none>:<none>"]


def _from_inspect(row: Mapping[str, Any], asked: str) -> Image:
    found: dict[str, str] = (row.get("Config") or {}).get("Labels") or {}
    return _image(row, found, asked)


def _from_list(row: Mapping[str, Any]) -> Image:
    return _image(row, row.get("Labels") or {}, "")


def _image(row: Mapping[str, Any], found: Mapping[str, str], asked: str) -> Image:
    tags = _tags(row)
    tags = [tag for tag in tags if tag not in held(tags)] or tags
    own = [tag for tag in tags if tag.endswith(f":{found.get(naming.LABEL_RELEASE, '')}")]
    reference = asked if asked in tags else (own or tags or [""])[0]
    repository = reference.rpartition(":")[0]
    digests = [d for d in row.get("RepoDigests") or [] if d.partition("@")[0] == repository]
    return Image(
        id=row["Id"],
        reference=reference,
        labels=dict(found),
        digest=digests[0].partition("@")[2] if digests else None,
        created=found.get(labels.CREATED, ""),
        size=int(row.get("Size", 0)),
    )
