"""What an image store can do, whichever engine keeps the images; and the image as the rest of the code sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from release.naming import ReleaseName

# A line of build, pull or push progress for a person; called from the calling thread.
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Image:
    """`id` is the content address in the engine (`sha256:…`), `reference` is `repository:tag`.

    `digest` is the registry's digest (`sha256:…`) where the image was pushed or pulled, else None. `created` is the
    label's RFC 3339 text (UTC). `size` is in bytes.
    """

    id: str
    reference: str
    labels: Mapping[str, str] = field(default_factory=dict)
    digest: str | None = None
    created: str = ""
    size: int = 0


@dataclass(frozen=True)
class BuildRequest:
    """Everything an image is made of. `context` is an export of the commit, the wheelhouse already in it."""

    context: Path
    dockerfile: str
    args: Mapping[str, str]
    repository: str
    release: ReleaseName
    labels: Mapping[str, str]
    timeout: float = 3600.0
    requirements: Path | None = None  # frozen requirements that the manifest names, for an engine that needs them


class ImageStore(Protocol):
    """The local images of an engine. Every method raises EngineError where the engine does not answer."""

    def find(self, repository: str, release: ReleaseName) -> Image | None:
        """The complete image of this release, or None."""

    def get(self, image_id: str) -> Image | None:
        """The image with this content address, or None."""

    def all(self, scope: str) -> list[Image]:
        """Every image that carries this scope's labels, tagged or not, or is held for it; and no other."""

    def hold(self, image: Image, scope: str, *, pulled: bool) -> None:
        """This scope uses an image that may have been made for another one (`image` names one repository for both).
        From then on `all` lists it, and neither scope's `remove` takes it from the other. `pulled`: just now."""

    def build(self, request: BuildRequest, progress: Progress) -> Image:
        """Builds and tags in one go; a failed or interrupted build leaves no tag. Raises BuildFailed."""

    def remove(self, image: Image) -> None:
        """Removes exactly this image; absent is fine. Raises EngineError where it is in use."""

    def leftovers(self, scope: str) -> list[str]:
        """Ids of untagged build leftovers (layers, stages, lost build containers) that carry this scope's labels."""

    def forget_cache(self, scope: str) -> None:
        """What is kept to make the next build faster becomes a leftover."""

    def discard(self, leftover: str) -> None:
        """Removes one of `leftovers` and what only it stood on; one that is gone, or stood upon by now, is fine."""


class RegistryClient(Protocol):
    """The registry behind a repository. Absent is None; unauthorised, down or broken raises RegistryError."""

    def digest(self, reference: str) -> str | None: ...

    def push(self, image: Image, progress: Progress) -> str:
        """Pushes and reads the digest back. Refuses (Refused) to overwrite a tag that holds another digest."""

    def pull(self, reference: str, digest: str, progress: Progress) -> Image: ...
