"""The user's own commands around a deployment: run in the exported tree, bounded in time, with their output kept."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from release.children import child
from release.errors import Refused

_SHOWN = 20  # last lines of output that an error shows
_READ = 64 << 10  # bytes at the end of the output in which they are looked for


def execute(command: str, directory: Path, timeout: float, env: Mapping[str, str] | None = None) -> str:
    """Runs `command` with `sh -c` in `directory`; gives its last line. Raises Refused where it fails or takes too long.

    It runs in a process group of its own: what it left running ends with it, also where this run is interrupted.
    """
    try:
        with tempfile.TemporaryFile() as said:  # a pipe would not end before the last that it left running does
            code = _run(command, directory, timeout, env or {}, said)
            lines = _end_of(said)
    except OSError as error:
        raise Refused(f"the hook `{command}` cannot be run: {error}", hint="is the disk full? df /tmp") from error
    if code != 0:
        shown = "\n    ".join(lines[-_SHOWN:])
        raise Refused(
            f"the hook `{command}` {_ended(code)}", hint=f"it said:\n    {shown}" if lines else "it said nothing"
        )
    return lines[-1][:200] if lines else "done"


def _ended(code: int) -> str:
    """How it ended badly: a negative code is a signal's, and a shell says 128 + n of what a signal ended in it."""
    with contextlib.suppress(ValueError):
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        if code > 128:
            return f"failed with exit code {code} ({signal.Signals(code - 128).name})"
    return f"was killed by signal {-code}" if code < 0 else f"failed with exit code {code}"


def _run(command: str, directory: Path, timeout: float, env: Mapping[str, str], said: IO[bytes]) -> int:
    options = {"cwd": directory, "env": {**os.environ, **env}, "stdin": subprocess.DEVNULL, "stdout": said}
    shell = child(["/bin/sh", "-c", command], _end, stderr=subprocess.STDOUT, start_new_session=True, **options)
    with shell as process:
        try:
            code: int = process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Refused(
                f"the hook `{command}` took longer than {timeout:.0f} s", hint="raise hooks.timeout"
            ) from None
        return code


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _end_of(said: IO[bytes]) -> list[str]:
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - _READ))
    return said.read().decode("utf-8", "replace").rstrip().splitlines()
