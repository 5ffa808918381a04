"""The registry client against a real Distribution registry."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from release.config.image import Registry
from release.errors import Refused, RegistryError
from release.image.docker import DockerImages
from release.image.labels import REVISION
from release.image.registry import DockerRegistry
from release.image.store import Image
from tests.image.conftest import COMMIT
from tests.support.registry import RegistryServer

pytestmark = pytest.mark.docker
PASSWORD = "correct-horse-battery"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RegistryServer]:
    server = RegistryServer(tmp_path / "registry").start()
    yield server
    server.stop()


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[RegistryServer]:
    server = RegistryServer(tmp_path / "registry", {"robot": PASSWORD}).start()
    yield server
    server.stop()


@pytest.fixture
def client() -> DockerRegistry:
    return DockerRegistry(Registry(push=True))


@pytest.fixture
def image(build: Callable[..., Image], server: RegistryServer, scope: str) -> Image:
    return build("COPY data /one", base="scratch", repository=f"{server.host}/{scope}")


def quiet(_: str) -> None:
    pass


def test_an_absent_tag_is_none(client: DockerRegistry, server: RegistryServer) -> None:
    assert client.digest(f"{server.host}/nothing:v1.0.0-abcdef1") is None


def test_a_pushed_image_is_told_by_the_digest_that_the_push_returned(client: DockerRegistry, image: Image) -> None:
    digest = client.push(image, quiet)
    assert digest.startswith("sha256:") and len(digest) == 71
    assert client.digest(image.reference) == digest


def test_pushing_the_same_image_again_does_nothing(client: DockerRegistry, image: Image) -> None:
    digest = client.push(image, quiet)
    said: list[str] = []
    assert client.push(image, said.append) == digest
    assert said == [f"{image.reference} is in the registry already"]


def test_a_tag_that_holds_another_image_is_refused_and_stays_as_it_was(
    client: DockerRegistry, image: Image, store: DockerImages, build: Callable[..., Image]
) -> None:
    digest = client.push(image, quiet)
    store.remove(image)
    other = build("COPY data /two", base="scratch", repository=image.reference.rpartition(":")[0])
    assert other.reference == image.reference
    with pytest.raises(Refused, match="as another image"):
        client.push(other, quiet)
    assert client.digest(image.reference) == digest


def test_an_image_is_pulled_by_digest_and_gets_its_tag_and_labels_back(
    client: DockerRegistry, image: Image, store: DockerImages
) -> None:
    digest = client.push(image, quiet)
    store.remove(image)
    assert store.get(image.reference) is None
    pulled = client.pull(image.reference, digest, quiet)
    assert (pulled.id, pulled.reference, pulled.digest) == (image.id, image.reference, digest)
    assert pulled.labels[REVISION] == COMMIT


def test_a_digest_that_the_registry_does_not_hold_cannot_be_pulled(client: DockerRegistry, image: Image) -> None:
    client.push(image, quiet)
    with pytest.raises(RegistryError, match="pull"):
        client.pull(image.reference, "sha256:" + "0" * 64, quiet)


def test_a_registry_that_is_gone_is_an_error_and_never_an_absent_tag(
    client: DockerRegistry, image: Image, server: RegistryServer
) -> None:
    digest = client.push(image, quiet)
    server.stop()
    with pytest.raises(RegistryError, match="refused"):
        client.digest(image.reference)
    with pytest.raises(RegistryError, match="refused"):
        client.pull(image.reference, digest, quiet)
    with pytest.raises(RegistryError, match="refused"):
        client.push(image, quiet)


def test_a_registry_that_takes_nothing_fails_the_push(
    tmp_path: Path, client: DockerRegistry, build: Callable[..., Image], scope: str
) -> None:
    """The daemon answers the push with 200 and tells the registry's refusal inside the stream."""
    server = RegistryServer(tmp_path / "closed", readonly=True).start()
    try:
        image = build("COPY data /one", base="scratch", repository=f"{server.host}/{scope}")
        with pytest.raises(RegistryError, match="push"):
            client.push(image, quiet)
        assert client.digest(image.reference) is None
    finally:
        server.stop()


def test_without_the_right_login_nothing_works_and_nothing_looks_absent(
    locked: RegistryServer, build: Callable[..., Image], scope: str
) -> None:
    image = build("COPY data /one", base="scratch", repository=f"{locked.host}/{scope}")
    for section in (Registry(), Registry(username="robot", password="wrong-" + PASSWORD)):
        client = DockerRegistry(section)
        for call in (lambda c=client: c.digest(image.reference), lambda c=client: c.push(image, quiet)):
            with pytest.raises(RegistryError) as caught:
                call()
            assert "registry.username" in str(caught.value)
            assert PASSWORD not in str(caught.value)


def test_the_right_login_pushes_and_pulls(
    locked: RegistryServer, build: Callable[..., Image], store: DockerImages, scope: str
) -> None:
    client = DockerRegistry(Registry(username="robot", password=PASSWORD))
    image = build("COPY data /one", base="scratch", repository=f"{locked.host}/{scope}")
    assert client.digest(image.reference) is None
    said: list[str] = []
    digest = client.push(image, said.append)
    store.remove(image)
    assert client.pull(image.reference, digest, said.append).id == image.id
    assert said and PASSWORD not in "\n".join(said)


def test_a_failure_inside_the_stream_fails_the_push(client: DockerRegistry, image: Image) -> None:
    """An image that is not here: the daemon answers 200 and tells the failure in the stream."""
    gone = dataclasses.replace(image, reference=image.reference.replace("v1.0.0", "v9.9.9"))
    with pytest.raises(RegistryError, match="does not exist"):
        client.push(gone, quiet)
