"""Registries in temporary directories, and versions in them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelhost.registry.base import Entry
from modelhost.registry.publish import publish
from tests.modelhost.registry.material import Publish, metadata, weights
from tests.modelhost.registry.places import Place, s3_endpoint


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "registry"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return weights(tmp_path / "source")


@pytest.fixture
def published(root: Path, tmp_path: Path) -> Publish:
    """Publishes content of its own for each version."""

    def make(version: str = "1.0.0", component: str = "model", **fields: Any) -> Entry:
        folder = tmp_path / f"{component}-{version}"
        weights(folder, f"weights of {component} {version}")
        described = metadata(component=component, version=version, **fields)
        return publish(root, folder, described, who="anna").entry

    return make


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """The endpoint of an S3 server."""
    with s3_endpoint() as url:
        yield url


@pytest.fixture
def mounted(tmp_path: Path) -> Place:
    folder = tmp_path / "mounted"

    def write(key: str, data: bytes) -> None:
        path = folder / key
        path.parent.chmod(0o755)
        path.unlink(missing_ok=True)
        path.write_bytes(data)

    def names() -> list[str]:
        return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]

    return Place(folder.as_uri(), write=write, names=names, stop=lambda: folder.rename(tmp_path / "unmounted") and None)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Place:
    import fsspec

    name = f"/{uuid.uuid4().hex}"
    system = fsspec.filesystem("memory")

    def gone(*_: object, **__: object) -> None:
        raise ConnectionError("the cable is out")

    def stop() -> None:
        for act in ("ls", "cat_file", "pipe_file", "get_file", "info"):
            monkeypatch.setattr(type(system), act, gone)

    return Place(
        f"memory:/{name}",
        write=lambda key, data: system.pipe_file(f"{name}/{key}", data),
        names=lambda: [key.removeprefix(name + "/") for key in system.find(name)],
        stop=stop,
    )


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Place:
    import fsspec

    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    bucket = f"bucket-{uuid.uuid4().hex}"
    options = {"key": "key", "secret": "secret", "client_kwargs": {"endpoint_url": s3_server}}
    system = fsspec.filesystem("s3", use_listings_cache=False, **options)
    system.mkdir(bucket)
    base = f"{bucket}/models"

    def stop() -> None:
        options["client_kwargs"] = {"endpoint_url": "http://127.0.0.1:9"}

    return Place(
        f"s3://{base}",
        options,
        write=lambda key, data: system.pipe_file(f"{base}/{key}", data) and None,
        names=lambda: [key.removeprefix(base + "/") for key in system.find(base)],
        stop=stop,
    )
