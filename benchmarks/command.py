"""One command, timed from outside: wall time, and the CPU time that it and the children it waited for took."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Bytecode is kept, as where a package is installed: an environment that forbids it would compile every file every time.
COMPILED = {"PYTHONDONTWRITEBYTECODE": ""}


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock, seconds of CPU, and what the command wrote to stdout."""

    wall: float
    cpu: float
    out: str


class Started:
    """A command under way that says little (what it says waits in pipes); `began` is time.perf_counter() before it."""

    def __init__(self, command: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> None:
        self._command = command
        self.began = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, "GITHUB_ACTIONS": "", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait(self) -> Spent:
        """Its end. Raises RuntimeError with what it said where it failed."""
        assert self._process.stdout is not None and self._process.stderr is not None
        with self._process.stdout as stdout, self._process.stderr as stderr:
            out, err = stdout.read(), stderr.read()
        _, status, used = os.wait4(self._process.pid, 0)
        wall = time.perf_counter() - self.began
        self._process.returncode = os.waitstatus_to_exitcode(status)
        if self._process.returncode != 0:
            raise RuntimeError(f"{' '.join(self._command)} ended with {self._process.returncode}:\n{out}{err}")
        return Spent(wall, used.ru_utime + used.ru_stime, out)


def spent(command: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> Spent:
    return Started(command, cwd, environment).wait()
