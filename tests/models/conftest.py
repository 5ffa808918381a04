"""Registries in temporary directories, with versions in them that were published."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from release.models.opening import opened
from release.models.place import Place
from release.models.registry import ModelRegistry
from tests.support.versions import Publish, publishing


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "registry"


@pytest.fixture
def published(root: Path, tmp_path: Path) -> Publish:
    return publishing(root, tmp_path / "sources")


@pytest.fixture
def told() -> list[str]:
    """What the registry had to say beside its answers."""
    return []


@pytest.fixture
def at(tmp_path: Path, told: list[str]) -> Callable[[object], ModelRegistry]:
    return lambda where: opened(Place(str(where), tmp_path / "cache"), told.append)
