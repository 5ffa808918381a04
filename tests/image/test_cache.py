"""Folders that several users share: the group may write what one of them made, and a lock is one for all."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from release.errors import BuildFailed
from release.image.cache import locked, make_folder


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_below_a_folder_of_a_group_the_group_may_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o2775)
    make_folder(tmp_path / "one" / "two")
    make_folder(tmp_path / "one" / "two")
    for folder in (tmp_path / "one", tmp_path / "one" / "two"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o2775


def test_elsewhere_the_umask_holds(tmp_path: Path) -> None:
    make_folder(tmp_path / "one")
    assert stat.S_IMODE((tmp_path / "one").stat().st_mode) == 0o755


def test_who_comes_second_waits(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with locked(tmp_path / "lock"):
            order.append("second")

    with locked(tmp_path / "lock"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join(60)
    assert order == ["first", "second"]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BuildFailed, match="cannot write to"), locked(tmp_path / "file" / "lock"):
        pass
