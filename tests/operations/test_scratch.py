"""Scratch of killed commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from release.config.state import State
from release.ledger.records import DeploymentRow, DeploymentState, Kind
from release.ledger.store import Ledger, utc_now
from release.operations.scratch import sweep


def dead_pid() -> int:
    """The id of a process that has ended and was reaped."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_dead_commands_left_goes_and_everything_else_stays(tmp_path: Path) -> None:
    state = State(tmp_path, "shop")
    state.create()
    ledger = Ledger(state.ledger)
    row = DeploymentRow("d2", Kind.DEPLOY, "v1", DeploymentState.RUNNING, "ada", "h", os.getpid(), utc_now())
    ledger.begin(row)
    hands: Any = SimpleNamespace(state=state, ledger=ledger)
    gone, here = dead_pid(), os.getpid()
    (state.path / "nginx").mkdir()
    state.answers.mkdir(parents=True)
    dead = [f"nginx/.nginx.conf.{gone}.new", f"nginx/.candidate-{gone}.conf", f"nginx/.start-{gone}.log"]
    dead += [f"answers/abc.{gone}.tmp", f"traffic/.new-green-{gone}"]
    kept = [f"nginx/.nginx.conf.{here}.new", "nginx/nginx.conf", "nginx/.hidden", "answers/abc.json", "ports.json"]
    for name in dead + kept:
        (state.path / name).write_text("")
    for name in ("d1", "d2"):
        (state.work / name / "export").mkdir(parents=True)
    for pid in (gone, here):
        (tmp_path / ".snapshots" / str(pid)).mkdir(parents=True)
    sweep(hands)
    assert [name for name in dead if (state.path / name).exists()] == []
    assert [name for name in kept if not (state.path / name).exists()] == []
    assert [path.name for path in state.work.iterdir()] == ["d2"]
    assert [path.name for path in (tmp_path / ".snapshots").iterdir()] == [str(here)]
