"""Registries in temporary directories, and versions in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelhost.registry.base import Entry
from modelhost.registry.publish import publish
from tests.modelhost.registry.material import Publish, metadata, weights


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
