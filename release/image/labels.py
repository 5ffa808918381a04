"""What an image says of itself: the predefined OCI keys that apply, the service's own labels, and ours. Pure.

Keys: github.com/opencontainers/image-spec, annotations.md. Images are told apart and ordered by these labels, never by
parsing a tag.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from release import naming
from release.errors import ManifestError
from release.naming import ReleaseName

OCI: Final = "org.opencontainers.image."
CREATED: Final = OCI + "created"
REVISION: Final = OCI + "revision"
VERSION: Final = OCI + "version"
REF_NAME: Final = OCI + "ref.name"
_IDENTITY: Final = (CREATED, REVISION, VERSION, REF_NAME)

ROLE_IMAGE: Final = "image"
ROLE_LAYER: Final = "layer"
ROLE_BASE: Final = "base"


@dataclass(frozen=True)
class Description:
    """What is known about an image before it is built. `created` is RFC 3339 in UTC; empty texts make no label."""

    scope: str
    service: str
    environment: str | None
    release: ReleaseName
    commit: str  # the full hash
    created: str
    title: str = ""
    description: str = ""
    licenses: str = ""
    source: str = ""
    base_name: str = ""
    base_digest: str = ""
    snapshot: bool = False
    own: Mapping[str, str] = field(default_factory=dict)


def image_labels(about: Description) -> dict[str, str]:
    """All labels of a release's image. The service's own may say anything but who the image is (ManifestError)."""
    check_own(about.own)
    known = {
        OCI + "title": about.title or about.service,
        OCI + "description": about.description,
        OCI + "licenses": about.licenses,
        OCI + "source": about.source,
        OCI + "url": about.source,
        OCI + "base.name": about.base_name,
        OCI + "base.digest": about.base_digest,
    }
    identity = {
        CREATED: about.created,
        REVISION: about.commit,
        VERSION: about.release.version,
        REF_NAME: str(about.release),
        naming.LABEL_RELEASE: str(about.release),
        naming.LABEL_ROLE: ROLE_IMAGE,
        **owner_labels(about.scope, about.service, about.environment),
    }
    if about.snapshot:
        identity[naming.LABEL_SNAPSHOT] = "true"
    return {key: value for key, value in known.items() if value} | dict(about.own) | identity


def owner_labels(scope: str, service: str, environment: str | None) -> dict[str, str]:
    """Whose an image is."""
    labels = {naming.LABEL_SCOPE: scope, naming.LABEL_SERVICE: service}
    return labels | {naming.LABEL_ENVIRONMENT: environment} if environment else labels


def layer_labels(image: Mapping[str, str]) -> dict[str, str]:
    """What every layer and build stage on the way to `image` carries. The same for every release of a scope, so that
    the layer cache holds, and enough to recognise what an interrupted build has left."""
    return {naming.LABEL_SCOPE: image[naming.LABEL_SCOPE], naming.LABEL_ROLE: ROLE_LAYER}


def check_own(own: Mapping[str, str]) -> None:
    """Raises ManifestError for a label of the service's own that would say who the image is."""
    for key in own:
        if key in _IDENTITY or key.startswith(naming.LABEL_PREFIX + "."):
            raise ManifestError(
                f"labels.{key}: this label is computed from the tag and cannot be set",
                hint="take it out of release.yaml; title, description, licenses, vendor and your own keys are free",
            )
