"""tools/watch_over.py: nothing that a command started outlives it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "tools/watch_over.py"


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def watched(script: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOL), *options, "bash", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_daemon_in_a_session_of_its_own_is_ended_and_named(tmp_path: Path) -> None:
    begun = f"until [ -s {tmp_path}/pid ]; do sleep 0.05; done"
    done = watched(f"setsid --fork sh -c 'echo $$ > {tmp_path}/pid; exec sleep 600'; {begun}")
    assert not running(int((tmp_path / "pid").read_text()))
    assert "sleep 600" in done.stdout


def test_the_last_line_of_the_command_stays_the_last_line(tmp_path: Path) -> None:
    done = watched("setsid --fork sleep 600; echo first; echo '=== 3 passed in 1s ==='")
    assert "left running" in done.stdout
    assert done.stdout.splitlines()[-1] == "=== 3 passed in 1s ==="


def test_the_exit_code_is_handed_on_and_nothing_is_said_where_nothing_is_left() -> None:
    done = watched("echo quiet; exit 7")
    assert (done.returncode, done.stdout) == (7, "quiet\n")


def test_a_process_that_was_there_before_is_left_alone() -> None:
    bystander = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        watched("true")
        assert running(bystander.pid)
    finally:
        bystander.kill()
        bystander.wait()


def test_the_cleaning_up_comes_after_the_command_and_before_its_last_line_again() -> None:
    done = watched("echo work; echo closing; exit 1", "--then", "echo cleaned")
    assert (done.returncode, done.stdout) == (1, "work\nclosing\ncleaned\nclosing\n")


def test_an_interrupted_command_tidies_up_and_then_the_cleaning_up_runs() -> None:
    script = "trap 'echo tidied; exit 0' INT; echo started; while :; do sleep 0.1; done"
    command = [sys.executable, str(TOOL), "--then", "echo cleaned", "bash", "-c", script]
    tool = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert tool.stdout is not None
    assert tool.stdout.readline() == "started\n"
    tool.send_signal(signal.SIGTERM)
    rest, _ = tool.communicate(timeout=60)
    assert rest.splitlines()[:2] == ["tidied", "cleaned"]
    assert tool.returncode == 128 + signal.SIGTERM


def test_a_signal_ends_the_command_and_what_it_left(tmp_path: Path) -> None:
    script = f"setsid --fork sh -c 'echo $$ > {tmp_path}/pid; exec sleep 600'; echo started; exec sleep 600"
    tool = subprocess.Popen([sys.executable, str(TOOL), "bash", "-c", script], stdout=subprocess.PIPE, text=True)
    assert tool.stdout is not None
    assert tool.stdout.readline() == "started\n"
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        time.sleep(0.01)
    tool.send_signal(signal.SIGTERM)
    tool.communicate(timeout=60)
    assert tool.returncode == 128 + signal.SIGTERM
    assert not running(int((tmp_path / "pid").read_text()))
