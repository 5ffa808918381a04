"""A command as a process of its own, and what it said."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Call = Callable[..., Said]


def process(
    *arguments: str, cwd: Path, state: Path, environ: dict[str, str] | None = None, timeout: float = 120
) -> Said:
    """The command as a process of its own, without a terminal and without what CI may have set."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GITHUB_", "RELEASE_")) and name != "CI"
    }
    done = subprocess.run(
        [sys.executable, "-m", "release.cli.main", *arguments],
        cwd=cwd,
        env={**inherited, "RELEASE_STATE": str(state), **(environ or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)
