"""The bundled service is released by this very toolkit: image, candidate, contract and its own suite, on the engine."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ports import free_ports
from tests.support.services import git, unique
from tests.support.site import RELEASE

pytestmark = pytest.mark.docker
PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def environment(tmp_path: Path, base: str) -> Iterator[dict[str, str]]:
    """A scope, ports and a state of its own; the benchmark set is the demo's business, it takes minutes."""
    tmp_path.chmod(0o755)
    blue, green, listen, admin = map(str, free_ports(4))
    settings = {
        "RELEASE_STATE": str(tmp_path / "state"),
        "RELEASE__ENVIRONMENT": unique("t"),
        "RELEASE__SLOTS__BLUE": blue,
        "RELEASE__SLOTS__GREEN": green,
        "RELEASE__PROXY__LISTEN": listen,
        "RELEASE__PROXY__ADMIN": admin,
        "RELEASE__PROXY__ADDRESS": "127.0.0.1",
        "RELEASE__CHECKS__QUALITY": "null",
        "RELEASE__CHECKS__LATENCY": "null",
        "RELEASE__ROLLOUT__OBSERVE__FOR": "0s",
        "GITHUB_ACTIONS": "",
    }
    yield {**os.environ, **settings}
    scope = f"translator-{settings['RELEASE__ENVIRONMENT']}"
    subprocess.run([RELEASE, "remove", "--yes", "--service", scope], env={**os.environ, **settings}, cwd=tmp_path)


def test_the_translator_goes_live_and_translates(tmp_path: Path, environment: dict[str, str]) -> None:
    repository = tmp_path / "repository"
    subprocess.run(["git", "clone", "--quiet", "--no-tags", str(PROJECT), str(repository)], check=True)
    git(repository, "tag", "v1.0.0")
    done = subprocess.run(
        [RELEASE, "deploy", "v1.0.0"], cwd=repository, env=environment, capture_output=True, text=True, timeout=570
    )
    assert done.returncode == 0, done.stderr
    assert "integration: " in done.stderr and "passed" in done.stderr
    url = f"http://127.0.0.1:{environment['RELEASE__PROXY__LISTEN']}"
    answer = ask(f"{url}/translate", {"text": "你好。"})
    assert answer["translation"] and answer["model_version"].startswith("v")
    assert ask(f"{url}/version")["release"].startswith("v1.0.0-")


def ask(url: str, body: dict[str, str] | None = None) -> dict[str, str]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return dict(json.load(answer))
