"""Repositories as they are found: a Dockerfile, and perhaps some source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from release.scaffold import Findings, scan


@pytest.fixture
def repository(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder `my-app` with these files."""

    def make(dockerfile: str | None = None, /, **files: str) -> Path:
        root = tmp_path / "my-app"
        root.mkdir()
        if dockerfile is not None:
            (root / "Dockerfile").write_text(dockerfile)
        for name, text in files.items():
            path = root / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return root

    return make


@pytest.fixture
def findings_of(repository: Callable[..., Path]) -> Callable[..., Findings]:
    """Scans such a folder; every port counts as free."""

    def find(dockerfile: str, /, **files: str) -> Findings:
        return scan(repository(dockerfile, **files), is_free=lambda port: True)

    return find
