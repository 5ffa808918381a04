"""How much of a file is cached is asked of the kernel, and forgetting changes no byte."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest

from benchmarks.modelhost.cache import cached, drop, warm


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "weights"
    made.write_bytes(b"x" * (64 * mmap.PAGESIZE + 1))
    return made


def test_a_file_that_was_read_is_cached(path: Path) -> None:
    warm([path])
    assert cached(path) == pytest.approx(1.0, abs=0.2), "the kernel may take a page back at any time"


def test_forgetting_never_leaves_more_than_there_was_and_changes_no_byte(path: Path) -> None:
    content = path.read_bytes()
    assert 0.0 <= drop(path) <= 1.0
    assert path.read_bytes() == content


def test_what_is_mapped_and_touched_stays_and_is_said_to(path: Path) -> None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as held:
        assert sum(held[:: mmap.PAGESIZE]) > 0
        assert drop(path) > 0.5


def test_an_empty_file_has_nothing_to_be_cold(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    assert cached(empty) == 1.0
