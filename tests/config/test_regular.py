"""A FIFO without a writer and a device without an end are refused where a person named them, and not waited for."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from release.checks import cases
from release.config import load, regular, secret
from release.errors import ReleaseError


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


def refusal(question: Callable[[], object]) -> str:
    """How a question is refused; fails where it waits, or is answered."""
    came: list[str] = []

    def ask() -> None:
        try:
            came.append(f"answered: {question()}")
        except ReleaseError as error:
            came.append(str(error))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(60)
    assert not asking.is_alive(), "it waits for somebody who writes"
    return came[0]


def test_a_manifest_is_a_regular_file(fifo: Path) -> None:
    assert "it is a FIFO and no regular file" in refusal(lambda: load.load(fifo, start=fifo.parent, environ={}))
    zero = Path("/dev/zero")
    assert "it is a device and no regular file" in refusal(lambda: load.load(zero, start=fifo.parent, environ={}))


def test_a_secret_is_a_regular_file(fifo: Path) -> None:
    assert "secret KEY: cannot read" in refusal(lambda: secret.read("KEY", f"file:{fifo}"))
    assert "it is a FIFO and no regular file" in refusal(lambda: secret.read("KEY", f"file:{fifo}"))


def test_a_benchmark_set_is_a_regular_file(fifo: Path, tmp_path: Path) -> None:
    (tmp_path / "set.jsonl").symlink_to(fifo)
    assert "it is a FIFO and no regular file" in refusal(lambda: cases.load(tmp_path, "set.jsonl"))


def test_a_regular_file_is_read_also_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert (regular.read(tmp_path / "link"), regular.read(tmp_path / "file", 4)) == (b"content", b"cont")


def test_a_folder_and_what_is_not_there_are_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="it is a folder and no regular file"):
        regular.read(tmp_path)
    with pytest.raises(FileNotFoundError):
        regular.read(tmp_path / "none")
