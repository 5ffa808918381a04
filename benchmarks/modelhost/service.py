"""A service in a process of its own, started, asked and ended from outside; the folder in which it finds its files."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelhost.http import tokens
from modelhost.http.roles import Role
from tests.support.ports import free_ports

PATIENCE_SECONDS = 120.0
# As a service in a container of two cores should have it: torch's own threads spin where there are too many of them.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
CONFIGURATION = """
registry: {{root: models}}
components: {components}
{sets}memory: {{budget: {budget}}}
http: {{tokens: tokens.jsonl, audit: audit.jsonl}}
"""


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A place on a disk, whose page cache can be warm or cold; removed at the end."""
    with tempfile.TemporaryDirectory(prefix="modelhost-benchmark-") as place:
        yield Path(place)


def configure(place: Path, components: list[str], budget: int) -> str:
    """Writes what the service on modelhost reads; returns an operator's token. `budget` in bytes."""
    together = f"sets: {{pair: [{', '.join(components)}]}}\n" if len(components) > 1 else ""
    named = "{" + ", ".join(f"{name}: {{}}" for name in components) + "}"
    text = CONFIGURATION.format(components=named, sets=together, budget=budget)
    (place / "modelhost.yaml").write_text(text)
    return tokens.add(place / "tokens.jsonl", "benchmark", Role.OPERATOR)


@dataclass
class Service:
    """One process behind one port, which may be restarted. `module` under benchmarks.modelhost."""

    module: str
    arguments: list[str]
    token: str = ""
    port: int = field(default_factory=lambda: free_ports(1)[0])
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self.process is not None
        return self.process.pid

    @contextlib.contextmanager
    def running(self, *more: str) -> Iterator[Service]:
        """Answers inside the block, and is gone after it."""
        try:
            self.start(*more)
            yield self
        finally:
            self.stop()

    def start(self, *more: str) -> float:
        """Returns when it has answered, with the seconds that took. Raises RuntimeError where it ends instead."""
        began = time.perf_counter()
        place, *rest = self.arguments
        command = [sys.executable, "-m", f"benchmarks.modelhost.{self.module}", place, str(self.port), *rest, *more]
        self.process = subprocess.Popen(command, env=os.environ | ENVIRONMENT)
        while time.perf_counter() - began < PATIENCE_SECONDS:
            if self.process.poll() is not None:
                raise RuntimeError(f"{' '.join(command)} ended with {self.process.returncode}; its errors are above")
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.ask("GET", "/ask")
                return time.perf_counter() - began
            time.sleep(0.005)
        raise RuntimeError(f"{' '.join(command)} did not answer in {PATIENCE_SECONDS:.0f} s")

    def stop(self) -> None:
        """As a supervisor does: it may finish what it has begun, but not for ever."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def restart(self, *more: str) -> None:
        """The process ends, and another begins."""
        self.stop()
        self.start(*more)

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """The JSON of an answer, on a connection of its own. Raises RuntimeError for any status but 200."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        with contextlib.closing(connection):
            headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path} was answered {answer.status}: {content.decode(errors='replace')}")
        return dict(json.loads(content))
