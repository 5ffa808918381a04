"""What a killed command leaves in the state directory: folders of its run, files that it was about to rename."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from release.rollout.hands import Hands

# Files made beside their place carry the process id of their maker: .nginx.conf.123.new, .candidate-123.conf, x.123.tmp
_TEMPORARY = re.compile(r"[.-](\d+)(\.new|\.conf|\.log|\.tmp)?$")


def sweep(hands: Hands) -> None:
    """Under the deployment lock there is no other run; files of a rollback under way belong to a living process."""
    unfinished = {row.id for row in hands.ledger.unfinished()}
    for folder in _entries(hands.state.work):
        if folder.name not in unfinished:
            shutil.rmtree(folder, ignore_errors=True)
    state = hands.state.path
    for directory in (state, state / "nginx", hands.state.traffic, hands.state.answers):
        for path in _entries(directory):
            if (path.name.startswith(".") or path.name.endswith(".tmp")) and _orphaned(path.name):
                with contextlib.suppress(OSError):
                    path.unlink()
    _sweep_snapshots(hands.state.root / ".snapshots")


def _sweep_snapshots(directory: Path) -> None:
    """Copies of working trees, each in a folder called by its process id."""
    for folder in _entries(directory):
        if folder.name.isdigit() and not _alive(folder.name):
            shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        directory.rmdir()


def _entries(directory: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from list(directory.iterdir())


def _orphaned(name: str) -> bool:
    found = _TEMPORARY.search(name)
    return found is not None and not _alive(found[1])


def _alive(pid: str) -> bool:
    return int(pid) == os.getpid() or Path(f"/proc/{pid}").exists()
