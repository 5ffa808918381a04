"""A host that is opened before a fork, as by `gunicorn --preload`, is refused in the children and serves in its own
process: a fork has none of its threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.modelhost.host.service import PAIR, Service

ROOT = Path(__file__).parents[3]
CLUSTER = "    cluster: {group: shop, heartbeat: 0.2s, poll: 0.05s, ttl: 5s}\n"
SCRIPT = """
import json, os, sys, time
from pathlib import Path

from fastapi import FastAPI
from fastapi.testclient import TestClient

from modelhost.errors import ModelHostError
from modelhost.http.service import ModelHttp
from tests.modelhost.serving.workshop import TextLoader

BACK = {"model": "1.0.0", "tokenizer": "1.0.0"}
http = ModelHttp.open("modelhost.yaml", {"safetensors": TextLoader()})
app = FastAPI(lifespan=http.lifespan)
http.install(app)


@app.get("/say")
async def say():
    async with http.host.request() as models:
        return models["model"].model()


def said(work):
    try:
        return str(work())
    except ModelHostError as error:
        return str(error)


def lifespan():
    with TestClient(app):
        return "began"


def around():
    return {
        "sockets": sorted(path.name for path in Path("state/processes").glob("*.sock")),
        "members": sorted(path.name for path in Path("models/.cluster/shop/members").glob("[!.]*")),
    }


def child():
    client = TestClient(app)
    found = {
        "lifespan": said(lifespan),
        "a lifespan of its own": said(http.serving(app).__enter__),
        "request": client.get("/say").text,
        "ready": client.get("/v2/health/ready").text,
        "promote": said(lambda: http.host.promote(BACK, who="ann", why="x")),
        "rollback": said(lambda: http.host.rollback(who="ann", reason="x")),
        "load": said(lambda: http.host.load("model", "1.0.0")),
    }
    http.close()
    http.host.close()
    return found


def serves():
    return http.control.why_not_ready() == ""


while not serves():
    time.sleep(0.05)
before = around()
reading, writing = os.pipe()
number = os.fork()
if not number:
    try:
        os.write(writing, json.dumps(child()).encode())
    finally:
        os._exit(0)
os.close(writing)
with os.fdopen(reading) as pipe:
    found = json.loads(pipe.read() or "{}")
os.waitpid(number, 0)
with TestClient(app) as client:
    after = client.get("/say").json()
    same = around() == before
    switched = http.control.promote(BACK, who="ann", why="older").versions
    back = client.get("/say").json()
print(json.dumps({"process": os.getpid(), "child": number, "found": found, "after": after, "same": same, "back": back}))
"""


@pytest.mark.parametrize("cluster", ["", CLUSTER])
def test_a_host_that_was_opened_before_a_fork_serves_in_its_own_process_alone(tmp_path: Path, cluster: str) -> None:
    service = Service(tmp_path)
    service.pair("1.0.0", "1.1.0")
    service.write(PAIR + cluster)
    told = _run(tmp_path)
    said = f"this model host was opened in process {told['process']}, before process {told['child']} was forked from it"
    fix = "open it in each process that serves, after the fork: run gunicorn without --preload"
    assert list(told["found"]) == [
        "lifespan",
        "a lifespan of its own",
        "request",
        "ready",
        "promote",
        "rollback",
        "load",
    ]
    for what, answer in told["found"].items():
        assert said in answer and fix in answer, what
    assert (told["after"], told["back"]) == ("model 1.1.0", "model 1.0.0")
    assert told["same"], "the child's end takes neither the socket nor the membership of its parent"


def _run(folder: Path) -> dict[str, Any]:
    made = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert made.returncode == 0, made.stderr
    found: dict[str, Any] = json.loads(made.stdout.splitlines()[-1])
    return found
