"""How a release comes to its image: reused, pulled or built, and refused where the tag holds something else."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from release.config.image import Registry
from release.config.manifest import Manifest
from release.daemon import Daemon
from release.errors import BuildFailed, Refused
from release.image.build import How, Sources, Wanted, obtain
from release.image.directory import DirectoryImages
from release.image.docker import DockerImages
from release.image.registry import DockerRegistry
from release.image.store import Image, Progress
from release.source import Source
from tests.support.engines import clear
from tests.support.registry import RegistryServer
from tests.support.services import Repository, tiny_service


class Untouched:
    """A registry that must not be asked."""

    def digest(self, reference: str) -> str | None:
        raise AssertionError(reference)

    def push(self, image: Image, progress: Progress) -> str:
        raise AssertionError(image)

    def pull(self, reference: str, digest: str, progress: Progress) -> Image:
        raise AssertionError(reference)


def quiet(_: str) -> None:
    pass


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    repository = tiny_service(tmp_path / "repository", service="tiny", cases=3)
    repository.write("Dockerfile", 'FROM scratch\nCOPY behaviour.json /\nCMD ["python3", "service.py"]\n')
    return repository


def wanted(repository: Repository, tag: str, tree: Path) -> Wanted:
    source = Source(repository.path)
    resolved = source.resolve(tag)
    source.export(resolved.commit, tree)
    return Wanted(resolved.release, resolved.commit, tree, "2026-01-01T00:00:00Z")


def test_an_image_is_built_once_and_then_reused(repository: Repository, tmp_path: Path) -> None:
    repository.release("v1.0.0")
    manifest = Manifest.model_validate(repository.manifest)
    sources = Sources(DirectoryImages(tmp_path / "store"))
    want = wanted(repository, "v1.0.0", tmp_path / "tree")
    first, second = obtain(want, manifest, sources, quiet), obtain(want, manifest, sources, quiet)
    assert (first.how, second.how, second.image) == (How.BUILT, How.REUSED, first.image)


def test_a_tag_that_holds_an_image_of_another_commit_is_refused(repository: Repository, tmp_path: Path) -> None:
    repository.release("v1.0.0")
    manifest = Manifest.model_validate(repository.manifest)
    sources = Sources(DirectoryImages(tmp_path / "store"))
    want = wanted(repository, "v1.0.0", tmp_path / "tree")
    obtain(want, manifest, sources, quiet)
    other = dataclasses.replace(want, commit=want.commit[:7] + "f" * 33)  # the same seven characters
    with pytest.raises(Refused, match="was made from commit"):
        obtain(other, manifest, sources, quiet)


def test_a_snapshot_is_marked_and_never_looked_for_in_the_registry(repository: Repository, tmp_path: Path) -> None:
    repository.commit("work")
    resolved = Source(repository.path).snapshot(tmp_path / "tree")
    want = Wanted(resolved.release, resolved.commit, tmp_path / "tree", "2026-01-01T00:00:00Z", snapshot=True)
    sources = Sources(DirectoryImages(tmp_path / "store"), Untouched())
    image = obtain(want, Manifest.model_validate(repository.manifest), sources, quiet).image
    assert image.labels["release.snapshot"] == "true"


def build(repository: Repository, tmp_path: Path) -> None:
    """The image of v1.0.0, into a store of its own."""
    want = wanted(repository, "v1.0.0", tmp_path / "tree")
    sources = Sources(DirectoryImages(tmp_path / "store"))
    obtain(want, Manifest.model_validate(repository.manifest), sources, quiet)


def test_a_context_that_is_not_there_is_told(repository: Repository, tmp_path: Path) -> None:
    repository.release("v1.0.0", manifest={"build": {"context": "nowhere"}})
    with pytest.raises(BuildFailed, match="nowhere"):
        build(repository, tmp_path)


def test_a_dockerfile_with_an_open_quote_is_told(repository: Repository, tmp_path: Path) -> None:
    repository.write("Dockerfile", 'FROM scratch\nENV A="open\n')
    repository.release("v1.0.0")
    with pytest.raises(BuildFailed, match="Dockerfile cannot be read"):
        build(repository, tmp_path)


def test_a_removal_that_was_killed_does_not_stop_the_next(repository: Repository, tmp_path: Path) -> None:
    repository.release("v1.0.0")
    manifest, store = Manifest.model_validate(repository.manifest), DirectoryImages(tmp_path / "store")
    want = wanted(repository, "v1.0.0", tmp_path / "tree")
    image = obtain(want, manifest, Sources(store), quiet).image
    place = tmp_path / "store" / "images" / image.id.removeprefix("sha256:")
    assert sorted(path.name for path in place.iterdir()) == ["image.json", "tree"]
    (place.with_name(f".building-removed-{place.name}") / "rest").mkdir(parents=True)
    store.remove(image)
    assert store.get(image.id) is None and list(place.parent.iterdir()) == []


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RegistryServer]:
    server = RegistryServer(tmp_path / "registry").start()
    yield server
    server.stop()


@pytest.mark.docker
def test_a_pushed_image_is_pulled_where_it_is_missing_and_another_commits_is_refused(
    repository: Repository, tmp_path: Path, server: RegistryServer, scope: str, store: DockerImages
) -> None:
    repository.release("v1.0.0", manifest={"service": scope, "image": f"{server.host}/{scope}"})
    manifest = Manifest.model_validate(repository.manifest)
    registry = DockerRegistry(Registry(push=True))
    sources = Sources(store, registry)
    want = wanted(repository, "v1.0.0", tmp_path / "tree")
    built = obtain(want, manifest, sources, quiet)
    registry.push(built.image, quiet)
    store.remove(built.image)
    pulled = obtain(want, manifest, sources, quiet)
    assert (built.how, pulled.how, pulled.image.id) == (How.BUILT, How.PULLED, built.image.id)
    store.remove(pulled.image)
    other = dataclasses.replace(want, commit=want.commit[:7] + "f" * 33)
    with pytest.raises(Refused, match="in the registry"):
        obtain(other, manifest, sources, quiet)
    assert store.find(manifest.repository, want.release) is None


def environments(repository: Repository, image: str, scope: str) -> list[Manifest]:
    """A release of two environments that name one image."""
    repository.release("v1.0.0", manifest={"service": scope, "image": image})
    names = ("staging", "production")
    return [Manifest.model_validate(repository.manifest | {"environment": name}) for name in names]


@pytest.fixture
def shared(scope: str) -> Iterator[str]:
    yield f"{scope}-shared"
    for environment in ("staging", "production"):
        clear(f"{scope}-{environment}")


@pytest.mark.docker
def test_two_environments_with_one_image_do_not_prune_it_from_each_other(
    repository: Repository, tmp_path: Path, scope: str, shared: str, store: DockerImages
) -> None:
    staging, production = environments(repository, shared, scope)
    want = wanted(repository, "v1.0.0", tmp_path / "tree")
    built = obtain(want, staging, Sources(store), quiet)
    assert [image.reference for image in store.all(staging.scope)] == [built.image.reference]
    reused = obtain(want, production, Sources(store), quiet)
    assert (reused.how, reused.image) == (How.REUSED, built.image)
    obtain(want, staging, Sources(store), quiet)
    for one, other in ((staging, production), (production, staging)):
        assert [image.id for image in store.all(one.scope)] == [built.image.id]
        [mine] = store.all(one.scope)
        store.remove(mine)
        assert store.all(one.scope) == []
        assert (store.get(built.image.id) is not None) == bool(store.all(other.scope))
    assert store.find(shared, want.release) is None


@pytest.mark.docker
def test_an_image_that_was_built_by_other_means_is_used_and_left(
    repository: Repository, tmp_path: Path, scope: str, shared: str, store: DockerImages
) -> None:
    _, production = environments(repository, shared, scope)
    want = wanted(repository, "v1.0.0", tmp_path / "tree")
    text = f"FROM scratch\nCOPY behaviour.json /\nLABEL org.opencontainers.image.revision={want.commit}\n"
    (tmp_path / "tree" / "Dockerfile").write_text(text)
    api, reference = Daemon().api, f"{shared}:{want.release}"
    for _ in api.build(path=str(tmp_path / "tree"), tag=reference, decode=True, rm=True):
        pass
    obtained = obtain(want, production, Sources(store), quiet)
    [mine] = store.all(production.scope)
    assert (obtained.how, mine.id) == (How.REUSED, obtained.image.id)
    store.remove(mine)
    assert store.all(production.scope) == [] and store.get(reference) is not None
    api.remove_image(reference)


@pytest.mark.docker
def test_an_image_that_another_host_built_for_another_environment_goes_with_the_one_that_pulled_it(
    repository: Repository, tmp_path: Path, server: RegistryServer, scope: str, shared: str, store: DockerImages
) -> None:
    staging, production = environments(repository, f"{server.host}/{shared}", scope)
    registry = DockerRegistry(Registry(push=True))
    sources = Sources(store, registry)
    want = wanted(repository, "v1.0.0", tmp_path / "tree")
    built = obtain(want, staging, sources, quiet).image
    registry.push(built, quiet)
    store.remove(built)
    pulled = obtain(want, production, sources, quiet)
    assert pulled.how is How.PULLED and store.all(staging.scope) == []
    [mine] = store.all(production.scope)
    store.remove(mine)
    assert store.get(built.id) is None and store.find(production.repository, want.release) is None
