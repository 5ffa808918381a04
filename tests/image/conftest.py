"""Fixtures of the image room: a service name of one's own, swept afterwards, and images that build in a second."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from release.image.docker import DockerImages
from release.image.labels import Description, image_labels
from release.image.store import BuildRequest, Image
from release.naming import ReleaseName
from tests.support.engines import clear
from tests.support.images import base_image
from tests.support.services import unique

COMMIT = "abcdef1" + "0" * 33


@pytest.fixture
def scope() -> Iterator[str]:
    name = unique("img")
    yield name
    clear(name)


@pytest.fixture
def store() -> DockerImages:
    return DockerImages()


@pytest.fixture
def request_for(tmp_path: Path, scope: str) -> Callable[..., BuildRequest]:
    """Makes a build request from the lines of a Dockerfile that follow its FROM."""

    def make(
        *lines: str,
        base: str | None = None,
        tag: str = "v1.0.0",
        repository: str | None = None,
        commit: str = COMMIT,
        timeout: float = 60.0,
    ) -> BuildRequest:
        context = tmp_path / "context"
        context.mkdir(exist_ok=True)
        (context / "data").write_bytes(os.urandom(1 << 20))
        text = "\n".join(["ARG BASE_IMAGE", f"FROM {base or '${BASE_IMAGE}'}", *lines, ""])
        (context / "Dockerfile").write_text(text)
        release = ReleaseName(tag, commit)
        return BuildRequest(
            context=context,
            dockerfile="Dockerfile",
            args={"BASE_IMAGE": base_image()} if base is None else {},
            repository=repository or scope,
            release=release,
            labels=image_labels(Description(scope, scope, None, release, commit, "2026-01-01T00:00:00Z")),
            timeout=timeout,
        )

    return make


@pytest.fixture
def build(store: DockerImages, request_for: Callable[..., BuildRequest]) -> Callable[..., Image]:
    def make(*lines: str, **options: object) -> Image:
        return store.build(request_for(*lines, **options), lambda _: None)

    return make
