"""A service of two processes behind one port: `uvicorn --workers 2`, and the line of a cluster in its configuration."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from modelhost.http.roles import Role
from tests.support.ports import free_port
from tests.support.translating import CASES, Translating
from tests.support.translating_app import FOLDER, PROCESS

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0
_CLUSTER = "cluster: {group: translations, heartbeat: 0.2s, poll: 0.05s, ttl: 15s, retry: 0.3s}\n"
_CONFIGURATION = """
registry: {root: registry}
components: {translator: {environment: "off"}}
memory: {budget: 10MB}
http: {tokens: tokens.jsonl, audit: audit.jsonl}
"""


class Workers:
    """`publish` through `service`, then `start`."""

    def __init__(self, path: Path) -> None:
        self.service = Translating(path)
        self.path = path
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        (self.path / "modelhost.yaml").write_text(_CONFIGURATION + _CLUSTER)
        command = [sys.executable, "-m", "uvicorn", "tests.support.translating_app:made", "--factory"]
        with (self.path / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [*command, "--port", str(self.port), "--workers", "2", "--log-level", "warning"],
                cwd=ROOT,
                env={**os.environ, FOLDER: str(self.path)},
                stdout=output,
                stderr=output,
            )
        self.until(lambda: len(self.members()) == 2, "two members are there")

    def ask(self, method: str, path: str, body: Any = None, role: Role = Role.OPERATOR) -> requests.Response:
        """Over a connection of its own: whichever process takes it answers."""
        bearer = {"Authorization": f"Bearer {self.service.tokens[role]}"}
        return requests.request(method, self.url + path, json=body, headers=bearer, timeout=60)

    def repository(self, act: str, version: str) -> requests.Response:
        return self.ask("POST", f"/v2/repository/models/translator/{act}", {"parameters": {"version": version}})

    def members(self) -> list[str]:
        """Processes that live and are ready."""
        try:
            cluster = self.ask("GET", "/status").json()["cluster"]
        except requests.ConnectionError:
            return []
        return [row["member"] for row in cluster.get("members", ()) if row["ready"]]

    def held(self) -> list[str]:
        return [each["version"] for each in self.ask("GET", "/status").json()["cluster"]["held"]]

    def asked_by_name(self, version: str) -> dict[str, set[int]]:
        """Process → the statuses that a request for this version gets there; both were asked more than once."""
        found: dict[str, list[int]] = {}
        deadline = time.monotonic() + PATIENCE
        while len(found) < 2 or min(len(each) for each in found.values()) < 3:
            assert time.monotonic() < deadline, f"one process takes every request: {found}"
            answer = self.ask("POST", f"/translate?version={version}", {"text": CASES[0][0]})
            found.setdefault(answer.headers[PROCESS], []).append(answer.status_code)
        return {process: set(statuses) for process, statuses in found.items()}

    def until(self, state: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not state():
            assert time.monotonic() < deadline, (
                f"never came to be: {what}\n{(self.path / 'output').read_text()[-3000:]}"
            )
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(60)
            finally:
                self._process.kill()
