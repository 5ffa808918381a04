"""What the documented service writes under uvicorn: each line of a request names version and variant."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.modelhost.http.test_documentation import _environment, _eventually, _lay_out
from tests.support.ports import free_port

WEIGHTS = "    weights: {name: AB, variants: {treatment: {version: 1.1.0, share: 100%}}}\n"
TALKATIVE = """
import logging

from fastapi import Request

from modelhost.routing.request import RequestFacts
from service import app, http

LOG = logging.getLogger("greetings")


@app.get("/warn/{language}")
async def warn(language: str, request: Request):
    async with http.host.request(await http.facts(request, language=language)) as models:
        LOG.warning("%s is %d%% sure", language, 7)
        return models.version


@app.get("/fail")
async def fail(request: Request):
    async with http.host.request(await http.facts(request, language="en")):
        raise RuntimeError("no words")


@app.get("/blocking")
def blocking():
    with http.host.request(RequestFacts()) as models:
        return models.version


@app.middleware("http")
async def timed(request: Request, call_next):
    return await call_next(request)
"""
HANDLERS = {
    "none of its own": "",
    "a root handler": 'logging.basicConfig(format="own %(modelhost_version)s %(modelhost_variant)s: %(message)s")\n',
}


@pytest.mark.parametrize("handlers", HANDLERS)
def test_each_line_of_a_request_names_version_and_variant(tmp_path: Path, handlers: str) -> None:
    _lay_out(tmp_path)
    (tmp_path / "talkative.py").write_text(TALKATIVE + HANDLERS[handlers])
    file = tmp_path / "modelhost.yaml"
    file.write_text(file.read_text().replace("http: {", WEIGHTS + "http: {"))
    port = free_port()
    at = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "uvicorn", "talkative:app", "--port", str(port)]
    log = tmp_path / "log"
    with log.open("a") as output:
        server = subprocess.Popen(command, cwd=tmp_path, env=_environment(), stdout=output, stderr=subprocess.STDOUT)

    def variant() -> str | None:
        assert server.poll() is None, log.read_text()
        return requests.get(f"{at}/greet/en", timeout=30).headers.get("X-Model-Variant")

    try:
        _eventually(variant, "AB:treatment")  # its version is loaded beside what serves
        log.write_text("")  # what was said until the version was there
        session = requests.Session()  # one connection: no request may be taken for the one before
        asked = ["/greet/en", "/v2", "/greet/fr", "/warn/en", "/warn/fr", "/nowhere", "/blocking", "/fail"]
        statuses = [session.get(f"{at}{path}", timeout=30).status_code for path in asked]
        assert statuses == [200, 200, 200, 200, 200, 404, 200, 500]
    finally:
        server.terminate()
        server.wait(60)
    said = log.read_text()
    access = dict(
        line[::-1] for line in re.findall(r'^INFO: +(.*?)127\.0\.0\.1:\d+ - "GET (\S+) HTTP', said, re.MULTILINE)
    )
    treated, ruled = "[1.1.0] [AB:treatment] ", "[1.1.0] "
    assert access == {
        "/greet/en": treated,
        "/greet/fr": ruled,
        "/warn/en": treated,
        "/warn/fr": ruled,
        "/blocking": treated,
        "/fail": treated,
        "/v2": "",
        "/nowhere": "",
    }
    own = ("own 1.1.0 AB:treatment: ", "own 1.1.0 -: ") if HANDLERS[handlers] else ("", "")
    assert f"{own[0]}{treated}en is 7% sure\n" in said
    assert f"{own[1]}{ruled}fr is 7% sure\n" in said
    assert re.search(r"^ERROR: +\[1\.1\.0\] \[AB:treatment\] Exception in ASGI application$", said, re.MULTILINE)
