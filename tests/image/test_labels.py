"""What images say of themselves."""

from __future__ import annotations

import dataclasses

import pytest

from release.errors import ManifestError
from release.image.labels import Description, image_labels, layer_labels
from release.naming import ReleaseName

COMMIT = "0123456789abcdef" * 2 + "01234567"
ABOUT = Description(
    scope="shop-staging",
    service="shop",
    environment="staging",
    release=ReleaseName("v1.2.0-rc.1", COMMIT),
    commit=COMMIT,
    created="2026-01-01T00:00:00Z",
)


def test_only_labels_that_are_known_are_made() -> None:
    assert image_labels(ABOUT) == {
        "org.opencontainers.image.created": "2026-01-01T00:00:00Z",
        "org.opencontainers.image.revision": COMMIT,
        "org.opencontainers.image.version": "1.2.0-rc.1",
        "org.opencontainers.image.ref.name": "v1.2.0-rc.1-0123456",
        "org.opencontainers.image.title": "shop",
        "release.scope": "shop-staging",
        "release.service": "shop",
        "release.environment": "staging",
        "release.release": "v1.2.0-rc.1-0123456",
        "release.role": "image",
    }


def test_what_the_manifest_says_of_itself_is_told() -> None:
    about = dataclasses.replace(
        ABOUT,
        description="Sells things",
        licenses="MIT",
        source="https://example.com/shop",
        base_name="debian:12",
        base_digest="sha256:1",
        snapshot=True,
        own={"org.opencontainers.image.vendor": "Example", "org.opencontainers.image.title": "The Shop"},
    )
    labels = image_labels(about)
    assert labels["org.opencontainers.image.title"] == "The Shop"
    assert labels["org.opencontainers.image.vendor"] == "Example"
    assert labels["org.opencontainers.image.base.digest"] == "sha256:1"
    assert labels["org.opencontainers.image.url"] == labels["org.opencontainers.image.source"]
    assert labels["release.snapshot"] == "true"


@pytest.mark.parametrize("key", ["org.opencontainers.image.revision", "release.scope", "release.anything"])
def test_who_an_image_is_cannot_be_said_by_the_manifest(key: str) -> None:
    with pytest.raises(ManifestError, match="computed"):
        image_labels(dataclasses.replace(ABOUT, own={key: "x"}))


def test_layers_of_all_releases_of_a_scope_are_labelled_alike() -> None:
    later = dataclasses.replace(ABOUT, release=ReleaseName("v9.0.0", COMMIT), created="2027-01-01T00:00:00Z")
    assert layer_labels(image_labels(ABOUT)) == layer_labels(image_labels(later))
