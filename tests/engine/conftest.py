"""Both engines with their image stores, one image of the tiny service in each, and a sweep after every test."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from release.config.secret import Secret
from release.engine.base import Engine, Instance, InstanceSpec
from release.engine.docker import DockerEngine
from release.engine.process import ProcessEngine
from release.image.build import Sources, Wanted, obtain
from release.image.directory import DirectoryImages
from release.image.docker import DockerImages
from release.image.store import Image, ImageStore
from release.naming import Slot
from release.source import Source
from tests.support.engines import clear
from tests.support.images import base_image
from tests.support.ports import free_port
from tests.support.services import tiny_service, unique


@dataclass
class Bench:
    """An engine with a store that holds one image of the tiny service, as a test uses them."""

    engine: Engine
    store: ImageStore
    image: Image
    scope: str

    def spec(self, **changes: Any) -> InstanceSpec:
        behaviour = changes.pop("behaviour", {})
        number = unique("d")
        given: dict[str, Any] = {
            "name": f"{self.scope}-blue-{number}",
            "scope": self.scope,
            "slot": Slot.BLUE,
            "release": "v1.0.0-abcdef1",
            "deployment": number,
            "image_id": self.image.id,
            "container_port": 5000,
            "host_port": free_port(),
            "env": {"BEHAVIOUR": json.dumps(behaviour)},
            "secrets": {"API_KEY": Secret("s3cret-value")},
        }
        return InstanceSpec(**(given | changes))

    def start(self, **changes: Any) -> Instance:
        return self.engine.start(self.spec(**changes))

    def now(self, instance: Instance) -> Instance:
        found = self.engine.inspect(instance.id)
        assert found is not None
        return found


@pytest.fixture(scope="session", params=[pytest.param("docker", marks=pytest.mark.docker), "process"])
def stocked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("bench")
    scope = unique("eng")
    engine: Engine
    store: ImageStore
    if request.param == "docker":
        base_image()
        engine, store = DockerEngine(), DockerImages()
    else:
        engine, store = ProcessEngine(folder / "process"), DirectoryImages(folder / "process")
    yield Bench(engine, store, _image(folder, scope, store), scope)
    if request.param == "docker":
        clear(scope)


@pytest.fixture
def bench(stocked: Bench) -> Iterator[Bench]:
    yield stocked
    for instance in stocked.engine.instances(stocked.scope):
        stocked.engine.remove(instance.id)


def _image(folder: Path, scope: str, store: ImageStore) -> Image:
    from release.config.manifest import Manifest

    repository = tiny_service(folder / "repository", service=scope, cases=5)
    repository.release("v1.0.0")
    source = Source(repository.path)
    resolved = source.resolve("v1.0.0")
    tree = folder / "tree"
    source.export(resolved.commit, tree)
    wanted = Wanted(resolved.release, resolved.commit, tree, "2026-01-01T00:00:00Z")
    return obtain(wanted, Manifest.model_validate(repository.manifest), Sources(store), print).image


@pytest.fixture
def fetch() -> Callable[[Instance, str], Any]:
    """GET from an instance, which is given a few seconds to listen; JSON decoded."""

    def get(instance: Instance, path: str) -> Any:
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{instance.host_port}{path}", timeout=30) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError:
                raise
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    return get


@pytest.fixture
def until() -> Callable[..., None]:
    def wait(condition: Callable[[], bool], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come to that in time"
            time.sleep(0.05)

    return wait
