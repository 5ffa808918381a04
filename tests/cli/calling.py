"""A command, in this process or one of its own, and what it said."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from release.cli.main import run


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Call = Callable[..., Said]


def inside(*arguments: str, cwd: Path, state: Path) -> Said:
    """The command in this process: what it says and how it ends, without the time that a process takes to start."""
    out, err = io.StringIO(), io.StringIO()
    before = dict(os.environ)
    for name in [name for name in before if name.startswith(("GITHUB_", "RELEASE_"))]:
        del os.environ[name]
    os.environ["RELEASE_STATE"] = str(state)
    try:
        with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(arguments)
    finally:
        os.environ.clear()
        os.environ.update(before)
    return Said(code, out.getvalue(), err.getvalue())


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
