"""Files are written all or none, and nothing of the user's is written over by accident."""

from __future__ import annotations

from pathlib import Path

import pytest

from release.errors import UsageError
from release.scaffold import write

FILES = {"release.yaml": "a\n", ".github/workflows/release.yml": "b\n"}


def test_folders_are_made_and_nothing_else_is_left(tmp_path: Path) -> None:
    written = write(tmp_path, FILES)
    assert [path.relative_to(tmp_path).as_posix() for path in written] == list(FILES)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["release.yaml", "release.yml"]
    assert (tmp_path / "release.yaml").read_text() == "a\n"


def test_one_file_that_exists_stops_all(tmp_path: Path) -> None:
    (tmp_path / "release.yaml").write_text("mine")
    with pytest.raises(UsageError, match=r"(?s)release\.yaml exists already; nothing was written.*--force"):
        write(tmp_path, FILES)
    assert (tmp_path / "release.yaml").read_text() == "mine"
    assert not (tmp_path / ".github").exists()


def test_force_writes_over(tmp_path: Path) -> None:
    (tmp_path / "release.yaml").write_text("mine")
    write(tmp_path, FILES, force=True)
    assert (tmp_path / "release.yaml").read_text() == "a\n"


def test_a_place_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / ".github").write_text("a file where a folder is needed")
    with pytest.raises(UsageError, match="cannot write"):
        write(tmp_path, FILES)
