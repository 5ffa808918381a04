"""The process that stands beside one service process: it starts it, restarts it where told, and caps its log.

Run as `python -m release.engine.supervisor FOLDER`. It imports the standard library alone and lives on when the command
that started it ends. All it knows is in its folder: `spec.json` and `env.json` (read), `keep` and `stop` (looked for),
`state.json` (written whole, by rename), `log` (appended to by the service itself, so that it outlives the supervisor).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

_LOOK = 0.5  # seconds between two looks at the log's size
_BACKOFF = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # seconds before restart 1, 2, …


def main(folder: Path) -> None:
    _detach()
    spec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
    environment = json.loads((folder / "env.json").read_text(encoding="utf-8"))
    restarts = in_a_row = 0
    while True:
        code, lasted = _run_once(folder, spec, environment, restarts)
        if (folder / "stop").exists() or not (folder / "keep").exists():
            break
        in_a_row = 0 if lasted > _BACKOFF[-1] else in_a_row + 1
        _write_state(folder, state="restarting", exit_code=code, restarts=restarts)
        if _told_to_stop(folder, _BACKOFF[min(in_a_row, len(_BACKOFF) - 1)]):
            break
        restarts += 1
    _write_state(folder, state="exited", exit_code=code, restarts=restarts)


def _told_to_stop(folder: Path, seconds: float) -> bool:
    """Waits so long before a restart, unless it is told to stop meanwhile."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (folder / "stop").exists() or not folder.exists():
            return True
        time.sleep(0.05)
    return False


def start_time(pid: int) -> int | None:
    """When the kernel started this process, in clock ticks since boot: with the pid, an identity that is never reused.
    None where there is none, or only a zombie of it."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])


def _run_once(folder: Path, spec: dict[str, Any], environment: dict[str, str], restarts: int) -> tuple[int, float]:
    """One life of the service: its exit code as a shell tells it (128 + signal), and how many seconds it lasted."""
    began = time.monotonic()
    log = folder / "log"
    process = _start(spec, environment, log)
    if process is None:
        return 127, time.monotonic() - began
    _forward(process)
    _write_state(
        folder,
        state="running",
        restarts=restarts,
        pid=process.pid,
        pid_start=start_time(process.pid),
        started_at=datetime.now(tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )
    while True:
        try:
            code = process.wait(timeout=_LOOK)
            break
        except subprocess.TimeoutExpired:
            _rotate(log, spec["log_max_size"], spec["log_max_files"])
    with contextlib.suppress(OSError):  # what it has left behind in its session
        os.killpg(process.pid, signal.SIGKILL)
    return (128 - code if code < 0 else code), time.monotonic() - began


def _start(spec: dict[str, Any], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes] | None:
    """The service in a session of its own; None where it cannot be started, which its log then says."""
    with log.open("ab") as out:
        try:
            return subprocess.Popen(
                spec["command"],
                cwd=spec["workdir"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        except OSError as error:
            out.write(f"cannot start {spec['command'][0]}: {error.strerror}\n".encode())
            return None


def _forward(process: subprocess.Popen[bytes]) -> None:
    """The host shuts down: the service is told, and gets the time that the host gives."""

    def tell(_: int, __: FrameType | None) -> None:
        with contextlib.suppress(OSError):
            process.terminate()

    signal.signal(signal.SIGTERM, tell)


def _write_state(folder: Path, **facts: Any) -> None:
    facts |= {"supervisor": os.getpid(), "supervisor_start": start_time(os.getpid())}
    beside = folder / ".state.json"
    with contextlib.suppress(FileNotFoundError):  # the instance was removed
        beside.write_text(json.dumps(facts), encoding="utf-8")
        beside.rename(folder / "state.json")


def _rotate(log: Path, most: int, files: int) -> None:
    """Copies and empties a log that has grown over `most` bytes; the service goes on writing to the same file."""
    with contextlib.suppress(OSError):  # a full disk must not end the service
        if log.stat().st_size <= most:
            return
        for number in range(files - 1, 1, -1):
            older = log.with_name(f"log.{number - 1}")
            if older.exists():
                older.rename(log.with_name(f"log.{number}"))
        if files > 1:
            shutil.copyfile(log, log.with_name("log.1"))
        os.truncate(log, 0)


def _detach() -> None:
    """The second fork: whoever started this can wait for it at once, and nothing can give it a terminal again."""
    if os.fork():
        os._exit(0)
    for ignored in (signal.SIGHUP, signal.SIGINT):
        signal.signal(ignored, signal.SIG_IGN)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
