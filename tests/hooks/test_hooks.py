"""A hook says how it ended, ends in time, and leaves nothing running."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from release.errors import Refused
from release.hooks import execute


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 60
    while lives(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not lives(pid)


def test_it_runs_in_the_tree_and_gives_its_last_line(tmp_path: Path) -> None:
    assert execute("echo first; echo $COLOUR in $PWD", tmp_path, 60, {"COLOUR": "blue"}) == f"blue in {tmp_path}"
    assert execute("true", tmp_path, 60) == "done"


def test_a_failure_shows_its_last_lines_whatever_the_bytes(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="exit code 3") as caught:
        execute("seq 100; printf 'no d\\377tabase\\n' >&2; exit 3", tmp_path, 60)
    assert caught.value.hint is not None
    assert caught.value.hint.splitlines()[-2:] == ["    100", "    no d�tabase"]
    assert "    80\n" not in caught.value.hint


def test_one_that_a_signal_ends_names_the_signal(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="was killed by SIGKILL\n  it said nothing"):
        execute("kill -9 $$", tmp_path, 60)
    with pytest.raises(Refused, match=r"failed with exit code 143 \(SIGTERM\)"):
        execute("sh -c 'kill -15 $$'; exit $?", tmp_path, 60)
    with pytest.raises(Refused, match="failed with exit code 255\n"):
        execute("exit 255", tmp_path, 60)


def test_one_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="longer than 5 s"):
        execute("sleep 600 & echo $! > pid; wait", tmp_path, 5)
    assert gone(int((tmp_path / "pid").read_text()))


def test_what_it_leaves_running_neither_holds_it_up_nor_outlives_it(tmp_path: Path) -> None:
    assert execute("sleep 600 & echo $! | tee pid", tmp_path, 300).isdigit()
    assert gone(int((tmp_path / "pid").read_text()))


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT raises, also where this was started in the background of a shell, which has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_ends_it(tmp_path: Path) -> None:
    def interrupt() -> None:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        execute("echo $$ > pid; sleep 600", tmp_path, 300)
    assert gone(int((tmp_path / "pid").read_text()))


def test_one_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot be run"):
        execute("true", tmp_path / "nowhere", 60)
