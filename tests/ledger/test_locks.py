"""Both locks: one holder at a time, named, freed by its death, and kept by no child."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from release.errors import LedgerError, Locked
from release.ledger.holders import describe, told
from release.ledger.locks import DeploymentLock, FileLock, TrafficLock

HOLD = (
    "import sys, time\n"
    "from release.ledger.locks import DeploymentLock, TrafficLock\n"
    "lock = (DeploymentLock if sys.argv[2] == 'deployment' else TrafficLock)(sys.argv[1])\n"
    "lock.acquire(deployment='d-1', command='release deploy v1.2.0')\n"
    "{then}\n"
    "print('held', flush=True)\n"
    "time.sleep(float(sys.argv[3]))\n"
    "lock.release()\n"
    "time.sleep(60)\n"
)


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts another process that holds the lock at `tmp_path / "lock"`."""
    started: list[subprocess.Popen[str]] = []

    def start(kind: str = "deployment", seconds: float = 60, then: str = "") -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOLD.format(then=then), str(tmp_path / "lock"), kind, str(seconds)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.parametrize("kind", [DeploymentLock, TrafficLock])
def test_two_instances_never_hold_one_lock_at_once(tmp_path: Path, kind: type[FileLock]) -> None:
    first, second = kind(tmp_path / "lock"), kind(tmp_path / "lock")
    first.acquire()
    with pytest.raises(Locked):
        second.acquire(0)
    first.release()
    second.acquire(0)
    assert second.held and not first.held
    second.release()


def test_the_holder_is_named_with_what_to_do(tmp_path: Path, hold: Callable[..., subprocess.Popen[str]]) -> None:
    holder = hold()
    with pytest.raises(Locked) as refusal:
        DeploymentLock(tmp_path / "lock").acquire()
    text = str(refusal.value)
    assert refusal.value.exit_code == 4
    assert "`release deploy v1.2.0`" in text and f"pid {holder.pid}" in text and "deployment d-1" in text
    assert "since 20" in text and "release abort" in text


def test_looking_tells_the_holder_and_takes_nothing(tmp_path: Path, hold: Callable[..., subprocess.Popen[str]]) -> None:
    looker = DeploymentLock(tmp_path / "lock")
    assert looker.holder() is None and not (tmp_path / "lock").exists()
    process = hold()
    holder = looker.holder()
    assert holder is not None and not looker.held
    assert {"pid", "user", "host", "command", "deployment", "since"} == set(holder)
    assert holder["pid"] == process.pid
    process.kill()
    process.wait()
    assert looker.holder() is None


def test_lookers_do_not_make_a_free_lock_seem_taken(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from release.ledger.locks import DeploymentLock\n"
        "print('looking', flush=True)\n"
        "while True: DeploymentLock(sys.argv[1]).holder()\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "lock")]
    looker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert looker.stdout is not None and looker.stdout.readline() == "looking\n"
        for _ in range(300):
            with DeploymentLock(tmp_path / "lock").holding(0):
                pass
    finally:
        looker.kill()
        looker.communicate()


@pytest.mark.parametrize("kind", ["deployment", "traffic"])
def test_a_killed_owner_frees_the_lock(tmp_path: Path, hold: Callable[..., subprocess.Popen[str]], kind: str) -> None:
    process = hold(kind)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with TrafficLock(tmp_path / "lock").holding(0):
        pass


def test_a_program_started_by_the_owner_does_not_keep_the_lock(
    tmp_path: Path, hold: Callable[..., subprocess.Popen[str]]
) -> None:
    then = "import subprocess; child = subprocess.Popen(['sleep', '60'], close_fds=False)"
    process = hold(then=then + "\nopen(sys.argv[1] + '.child', 'w').write(str(child.pid))")
    child = int((tmp_path / "lock.child").read_text())
    try:
        process.kill()
        process.wait()
        os.kill(child, 0)  # it is alive
        DeploymentLock(tmp_path / "lock").acquire(0)
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_forked_child_neither_keeps_nor_drops_its_parents_lock(
    tmp_path: Path, hold: Callable[..., subprocess.Popen[str]]
) -> None:
    then = (
        "import os\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    assert not lock.held\n"
        "    lock.release()\n"
        "    open(sys.argv[1] + '.ready', 'w').write('x')\n"
        "    time.sleep(60)\n"
        "    os._exit(0)\n"
        "while not os.path.exists(sys.argv[1] + '.ready'): time.sleep(0.01)\n"
        "open(sys.argv[1] + '.child', 'w').write(str(child))"
    )
    process = hold(then=then)
    child = int((tmp_path / "lock.child").read_text())
    try:
        with pytest.raises(Locked):
            DeploymentLock(tmp_path / "lock").acquire(0)
        process.kill()
        process.wait()
        os.kill(child, 0)
        DeploymentLock(tmp_path / "lock").acquire(0)
    finally:
        os.kill(child, signal.SIGKILL)


def test_the_traffic_lock_is_waited_for(tmp_path: Path, hold: Callable[..., subprocess.Popen[str]]) -> None:
    hold("traffic", seconds=0.5)
    lock = TrafficLock(tmp_path / "lock")
    lock.acquire()
    assert lock.held
    lock.release()


def test_waiting_ends_and_names_the_holder(tmp_path: Path, hold: Callable[..., subprocess.Popen[str]]) -> None:
    process = hold("traffic")
    with pytest.raises(Locked, match=f"pid {process.pid}"):
        TrafficLock(tmp_path / "lock").acquire(0.3)


def test_a_lock_file_that_was_removed_under_its_holder_locks_again(tmp_path: Path) -> None:
    old, new, third = (DeploymentLock(tmp_path / "lock") for _ in range(3))
    old.acquire()
    (tmp_path / "lock").unlink()
    new.acquire(0)
    with pytest.raises(Locked):
        third.acquire(0)
    new.release()
    old.release()


def test_one_object_cannot_be_acquired_twice(tmp_path: Path) -> None:
    lock = DeploymentLock(tmp_path / "lock")
    with lock, pytest.raises(RuntimeError):
        lock.acquire()
    assert not lock.held
    lock.release()


def test_an_error_inside_frees_the_lock(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), DeploymentLock(tmp_path / "lock"):
        raise KeyboardInterrupt
    DeploymentLock(tmp_path / "lock").acquire(0)


def test_the_file_is_for_the_group_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        DeploymentLock(tmp_path / "lock").acquire()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o660


def test_a_lock_works_on_a_full_disk_and_still_names_its_holder(small_disk: Path, fill: Callable[[Path], None]) -> None:
    with DeploymentLock(small_disk / "lock").holding(deployment="earlier"):
        pass
    fill(small_disk)
    with DeploymentLock(small_disk / "lock").holding(deployment="d-2") as lock:
        holder = lock.holder()
        assert holder is not None and holder["deployment"] == "d-2"


def test_a_lock_that_has_no_room_for_a_name_still_locks(small_disk: Path, fill: Callable[[Path], None]) -> None:
    (small_disk / "lock").touch(0o660)
    fill(small_disk)
    with DeploymentLock(small_disk / "lock"):
        with pytest.raises(Locked, match="left no name"):
            DeploymentLock(small_disk / "lock").acquire(0)


def test_a_directory_that_is_not_there_or_not_ours_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot open the lock"):
        DeploymentLock(tmp_path / "nowhere" / "lock").acquire()
    if os.geteuid() != 0:
        pytest.skip("the second half needs root, to become somebody who may not write")
    script = "import os, sys\nfrom release.ledger.locks import DeploymentLock\nos.setuid(65534)\n{}\n"
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        take = script.format("DeploymentLock(sys.argv[1]).acquire()")
        run = [sys.executable, "-c", take, f"{place}/lock"]
        refused = subprocess.run(run, capture_output=True, text=True, check=False)
        assert "LedgerError: cannot open the lock" in refused.stderr and "join its group" in refused.stderr
        Path(place, "lock").touch()
        Path(place, "lock").chmod(0o644)
        assert subprocess.run(run, check=False).returncode == 0  # readable is enough to lock


def test_a_stopped_holder_is_still_the_holder(tmp_path: Path, hold: Callable[..., subprocess.Popen[str]]) -> None:
    process = hold("traffic")
    process.send_signal(signal.SIGSTOP)
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.01)  # it has to run once more to stop
    with pytest.raises(Locked, match=r"(?s)hangs or was stopped"):
        TrafficLock(tmp_path / "lock").acquire(0)
    process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00" * 10])
def test_an_unreadable_name_is_no_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "lock").write_text(text)
    with DeploymentLock(tmp_path / "lock"):
        (tmp_path / "lock").write_text(text)
        assert DeploymentLock(tmp_path / "lock").holder() == {}
    assert "left no name" in describe({})
    assert describe({"pid": 3}).startswith("`?` of ? on ? (pid 3)")


def test_a_command_is_told_without_the_values_that_it_sets() -> None:
    command = ["/usr/bin/release", "deploy", "v1.0.0", "--set", "registry.password=pw=12", "--set=a.b=c d", "--json"]
    assert told(command) == "release deploy v1.0.0 --set 'registry.password=…' '--set=a.b=…' --json"


def test_a_long_command_is_cut_and_stays_readable(tmp_path: Path) -> None:
    with DeploymentLock(tmp_path / "lock").holding(command="译" * 5000) as lock:
        holder = lock.holder()
        assert holder is not None and holder["command"].startswith("译译")
