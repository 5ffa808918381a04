"""The user's own commands around a deployment: run in the exported tree, bounded in time, with their output kept."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from release.errors import Refused

_SHOWN = 20  # last lines of output that an error shows


def execute(command: str, directory: Path, timeout: float, env: Mapping[str, str] | None = None) -> str:
    """Runs `command` with `sh -c` in `directory`; gives its last line. Raises Refused where it fails or takes too long.

    It runs in a process group of its own, so that what it started ends with it, also where this run is interrupted.
    """
    process = subprocess.Popen(
        ["/bin/sh", "-c", command],
        cwd=directory,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        _kill(process)
        raise Refused(f"the hook `{command}` took longer than {timeout:.0f} s", hint="raise hooks.timeout") from None
    except BaseException:
        _kill(process)
        raise
    lines = output.rstrip().splitlines()
    if process.returncode != 0:
        shown = "\n    ".join(lines[-_SHOWN:])
        raise Refused(f"the hook `{command}` failed with exit code {process.returncode}", hint=f"it said:\n    {shown}")
    return lines[-1][:200] if lines else "done"


def _kill(process: subprocess.Popen[str]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()
