"""Where the demo lives and what it may use: its folder, its ports, its environment, and how it calls `release`."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
FOLDER = PROJECT / ".demo"


@dataclass(frozen=True)
class Ran:
    """What a command printed and how it ended; `seconds` of wall time."""

    code: int
    out: str
    seconds: float


class DemoFailed(Exception):
    """Something that the demo shows did not happen."""


class Place:
    """The demo's folder. `settings` is what its commands say beside the manifest of each tag."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder
        self.repository = folder / "repository"
        self.state = folder / "state"
        self.notes = folder / "demo.json"

    def prepare(self) -> None:
        if self.notes.exists():
            raise DemoFailed("a demo is up already; `make demo-down` takes it down")
        shutil.rmtree(self.repository, ignore_errors=True)
        self.folder.mkdir(exist_ok=True)
        self.folder.chmod(0o755)
        listen, admin, blue, green = free_ports(8080, 18080, 8101, 8102)
        self.note(listen=listen, admin=admin, blue=blue, green=green, began=time.time(), engine=engine_kind())

    def note(self, **values: object) -> None:
        self.notes.write_text(json.dumps(self.noted() | values, indent=1))

    def noted(self) -> dict[str, object]:
        return dict(json.loads(self.notes.read_text())) if self.notes.exists() else {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.noted()['listen']}"

    def environment(self) -> dict[str, str]:
        """Overrides by environment: short waits, free ports, an environment of its own beside anything deployed."""
        noted = self.noted()
        return {
            **os.environ,
            "RELEASE_STATE": str(self.state),
            "RELEASE__ENVIRONMENT": "demo",
            "RELEASE__ENGINE__KIND": str(noted["engine"]),
            "RELEASE__PROXY__LISTEN": str(noted["listen"]),
            "RELEASE__PROXY__ADMIN": str(noted["admin"]),
            "RELEASE__PROXY__ADDRESS": "127.0.0.1",
            "RELEASE__SLOTS__BLUE": str(noted["blue"]),
            "RELEASE__SLOTS__GREEN": str(noted["green"]),
            "RELEASE__ROLLOUT__OBSERVE__FOR": "15s",
            "RELEASE__DRAIN": "5s",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }

    def release(self, *arguments: str, expect: Sequence[int] = (0,), quiet: bool = False) -> Ran:
        """Runs `release …` in the demo's repository, as a person would; what it prints is shown as it comes."""
        if not quiet:
            print(f"\n$ release {' '.join(arguments)}", flush=True)
        began = time.monotonic()
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / "release"), *arguments],
            cwd=self.repository if self.repository.exists() else self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if not quiet else subprocess.DEVNULL,
            text=True,
            errors="replace",
        )
        lines = []
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if not quiet:
                print(f"  {line}", end="", flush=True)
        code = process.wait()
        ran = Ran(code, "".join(lines), time.monotonic() - began)
        if code not in expect:
            raise DemoFailed(f"`release {' '.join(arguments)}` ended with {code}; expected {expect}")
        return ran


def engine_kind() -> str:
    """docker where an engine answers, else process, said loudly."""
    found = subprocess.run(["docker", "info"], capture_output=True, check=False) if shutil.which("docker") else None
    if found is not None and found.returncode == 0:
        return "docker"
    print("=" * 100)
    print("NO DOCKER ENGINE ANSWERS: this demo runs with `engine: process`, on supervised local processes.")
    print("Everything but containers is as with Docker. `docker info` says what is wrong with the engine.")
    print("=" * 100, flush=True)
    return "process"


def free_ports(*wished: int) -> list[int]:
    """The wished-for ports where they are free, else others that are."""
    found: list[int] = []
    with contextlib.ExitStack() as held:
        for wish in wished:
            listener = held.enter_context(socket.socket())
            try:
                listener.bind(("127.0.0.1", wish))
            except OSError:
                listener.bind(("127.0.0.1", 0))
            found.append(listener.getsockname()[1])
    return found
