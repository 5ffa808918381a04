"""How these tests call the command line in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from release.cli.main import run
from tests.cli.calling import Call, Said
from tests.support.versions import Publish, publishing


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """`call("status", "--json")` in an empty folder, with a state folder that holds nothing."""
    for name in ("GITHUB_ACTIONS", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "FORCE_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("RELEASE_STATE", str(tmp_path / "state"))

    def calling(*arguments: str) -> Said:
        capsys.readouterr()
        code = run(arguments)
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return calling


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """Where the test's models are, or will be."""
    return tmp_path / "registry"


@pytest.fixture
def published(registry: Path, tmp_path: Path) -> Publish:
    """Publishes a version into it."""
    return publishing(registry, tmp_path / "sources")
