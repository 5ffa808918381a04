"""A service of several workers behind one port, without a cluster: real processes of a real uvicorn."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from modelhost.http import tokens
from modelhost.http.roles import Role
from tests.modelhost.host.service import Service

ROOT = Path(__file__).parents[3]
APP = """
import os
import threading
import time
from pathlib import Path

from fastapi import FastAPI

from modelhost.http import agreement, siblings
from modelhost.http.service import ModelHttp
from tests.modelhost.serving.workshop import TextLoader

siblings.ANSWER_SECONDS = agreement.HEARING_SECONDS = 10.0  # a busy machine may keep one that answers for some
HERE = Path(__file__).parent
UNABLE = HERE / "unable"  # the number of a process that loads nothing more
SLOW = HERE / "slow"  # while it is there nobody loads but whom it names: the first who comes
WAITS = HERE / "waits"  # the number of another who would
TURN = threading.Lock()


def written(path):
    fresh = path.with_name(f"{path.name}-{os.getpid()}")
    fresh.write_text(str(os.getpid()))
    fresh.replace(path)  # whoever reads it reads all of it


def slow():
    try:
        return SLOW.read_text()
    except FileNotFoundError:
        return None


class Loader(TextLoader):
    def load(self, entry, placement):
        if UNABLE.exists() and UNABLE.read_text() == str(os.getpid()):
            raise OSError("no device is free")
        with TURN:
            if slow() == "":
                written(SLOW)
        while slow() not in (None, str(os.getpid())):
            written(WAITS)
            time.sleep(0.05)
        return super().load(entry, placement)


http = ModelHttp.open(HERE / "modelhost.yaml", {"safetensors": Loader()}, upkeep_seconds=0.1)
app = FastAPI(lifespan=http.lifespan)
http.install(app)


@app.get("/say")
async def say() -> list[str]:
    async with http.host.request() as models:
        return [str(os.getpid()), models["model"].model()]
"""


class Band:
    """`ask` over a connection of its own: whichever process takes it answers."""

    def __init__(self, service: Service, port: int) -> None:
        self.path = service.path
        self.url = f"http://127.0.0.1:{port}"
        self._tokens = {role: tokens.add(self.path / "tokens.jsonl", f"{role}-of-tests", role) for role in Role}

    def ask(self, method: str, path: str, body: Any = None, role: Role | None = Role.ADMIN) -> requests.Response:
        headers = {"Authorization": f"Bearer {self._tokens[role]}"} if role else {}
        return requests.request(method, self.url + path, json=body, headers=headers, timeout=60)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", "/status").json()
        return found

    def processes(self) -> list[str]:
        """All that answer at the port, as one of them says; nobody where none does yet."""
        try:
            said = self.status()["processes"]
        except requests.ConnectionError:
            return []
        return sorted((said["here"], *said["beside"]), key=int)

    def said(self, count: int = 24) -> dict[str, set[str]]:
        """Process → what its model says; every process was asked."""
        everybody, found = set(self.processes()), dict[str, set[str]]()
        while count > 0 or found.keys() != everybody:
            count -= 1
            assert count > -2000, f"one process takes every request: {found}"
            process, text = self.ask("GET", "/say", role=None).json()
            found.setdefault(process, set()).add(text)
        return found

    def output(self) -> str:
        return (self.path / "output").read_text()


@contextmanager
def band(service: Service, count: int) -> Iterator[Band]:
    """`service` has published and written its configuration, which names `tokens.jsonl`. The port is held here too."""
    (service.path / "site_with_workers.py").write_text(APP)
    command = ["uvicorn", "site_with_workers:app", "--app-dir", str(service.path), "--log-level", "warning"]
    with socket.socket() as listening, (service.path / "output").open("ab") as output:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        listening.set_inheritable(True)
        workers = ["--fd", str(listening.fileno()), "--workers", str(count), "--timeout-worker-healthcheck", "120"]
        server = subprocess.Popen(
            [sys.executable, "-m", *command, *workers],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            pass_fds=[listening.fileno()],
            stdout=output,
            stderr=output,
        )
        try:
            yield Band(service, listening.getsockname()[1])
        finally:
            server.terminate()
            try:
                server.wait(60)
            finally:
                server.kill()
