"""Small services in git repositories: a tag for each version, a behaviour for each tag, a manifest that fits.

    repository = tiny_service(tmp_path / "shop")
    repository.release("v1.0.0")
    repository.release("v1.1.0", noise=0.3)           # worse translations, healthy all the same
    repository.release("v1.2.0", health=500)          # never ready

Behaviours are listed in tests/support/tiny.py.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.ports import free_ports

_TINY = Path(__file__).with_name("tiny.py")
_DOCKERFILE = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
WORKDIR /app
ENV PYTHONUNBUFFERED=1 PORT=5000
EXPOSE 5000
CMD ["python3", "service.py"]
COPY . .
"""
_INTEGRATION = '''\
"""The service's own suite: a candidate has to know itself and translate."""

import json
import urllib.request


def test_the_candidate_says_which_version_it_is(candidate_url):
    with urllib.request.urlopen(candidate_url + "/version", timeout=60) as answer:
        assert json.load(answer)["version"]


def test_the_candidate_translates(candidate_url):
    request = urllib.request.Request(candidate_url + "/translate", json.dumps({"text": "unknown"}).encode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.load(answer)["translation"] == "UNKNOWN"
'''
_CHINESE = ["今天", "天气", "我", "想", "去", "公园", "请", "打开", "设置", "页面", "函数", "返回", "列表", "火车"]
_TEXT = """the a small old quiet river runs past our house and every child knows where to find it in
summer when water is low enough for walking you can open settings page then choose which model answers first because
some people prefer speed over quality while others wait longer function returns list of names sorted by date yesterday
train left late nobody minded much since coffee was still warm she bought three books"""
_ENGLISH = _TEXT.split()


@dataclass
class Repository:
    """A git repository with a service in it. `manifest` is what its release.yaml says, as plain values."""

    path: Path
    manifest: dict[str, Any]

    @property
    def service(self) -> str:
        return str(self.manifest["service"])

    @property
    def public_url(self) -> str:
        return f"http://127.0.0.1:{self.manifest['proxy']['listen']}"

    def release(self, tag: str, *, manifest: Mapping[str, Any] | None = None, **behaviour: Any) -> str:
        """Commits this behaviour (and change of the manifest), tags it, and returns the full commit hash."""
        commit = self.commit(tag, manifest=manifest, **({"version": tag.removeprefix("v")} | behaviour))
        self.git("tag", "-a", tag, "-m", f"Release {tag}")
        return commit

    def commit(self, message: str, *, manifest: Mapping[str, Any] | None = None, **behaviour: Any) -> str:
        if manifest:
            self.manifest = merged(self.manifest, manifest)
        self.write("release.yaml", yaml.safe_dump(self.manifest, sort_keys=False, allow_unicode=True))
        self.write("behaviour.json", json.dumps(behaviour, indent=1) + "\n")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def write(self, name: str, text: str) -> None:
        place = self.path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")

    def git(self, *arguments: str) -> str:
        return git(self.path, *arguments)


def tiny_service(
    path: Path, *, service: str = "tiny", cases: int = 120, manifest: Mapping[str, Any] | None = None
) -> Repository:
    """A new repository with the tiny translator, its benchmark set and its own suite, and nothing committed yet.

    `manifest` is laid over the default one, which gives it ports of its own, fast gates and a short observation. A
    service name that tests on one machine do not share is the caller's business: `unique("tiny")`.
    """
    path.mkdir(parents=True)
    git(path, "init", "--quiet", "--initial-branch=main")
    repository = Repository(path, merged(default_manifest(service), manifest or {}))
    shutil.copyfile(_TINY, path / "service.py")
    repository.write("Dockerfile", _DOCKERFILE)
    repository.write(".gitignore", "__pycache__/\n")
    repository.write("tests/integration/test_service.py", _INTEGRATION)
    rows = benchmark(cases)
    repository.write("evaluation/cases.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return repository


def default_manifest(service: str) -> dict[str, Any]:
    from tests.support.images import SUITE

    blue, green, listen, admin = free_ports(4)
    translate = {"method": "POST", "path": "/translate", "json": {"text": "{source}"}}
    return {
        "service": service,
        "build": {"args": {"BASE_IMAGE": f"release-base:{SUITE}-python3"}},
        "container": {"port": 5000, "memory": "256m", "stop_timeout": "5s"},
        "slots": {"blue": blue, "green": green},
        "drain": "200ms",
        "proxy": {"listen": listen, "admin": admin, "address": "127.0.0.1"},
        "checks": {
            "health": {"path": "/health", "timeout": "60s", "settle": "200ms"},
            "warmup": {"requests": 5},
            "contract": {"openapi": "/openapi.json"},
            "integration": {"suite": "tests/integration"},
            "quality": {
                "cases": "evaluation/cases.jsonl",
                "request": translate,
                "answer": "translation",
                "metrics": {"bleu": {"floor": 30, "margin": 2.0}, "chrf": {"floor": 40, "margin": 2.0}},
                "resamples": 200,
            },
            "latency": {"requests": 40, "concurrency": 2, "p95": "2s"},
        },
        "rollout": {"observe": {"for": "1s", "max_error_rate": "5%", "min_requests": 20}},
    }


def benchmark(count: int, seed: int = 1) -> list[dict[str, str]]:
    """`count` made-up pairs in two groups; sources are all different, references have 8 to 16 words."""
    chance = random.Random(seed)
    rows = []
    for number in range(count):
        source = "".join(chance.choices(_CHINESE, k=6)) + str(number)
        reference = " ".join(chance.choices(_ENGLISH, k=chance.randint(8, 16)))
        group = "daily" if number % 2 else "technical"
        rows.append({"source": source, "reference": reference, "group": group, "document": f"{group}-{number // 10}"})
    return rows


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid on `under`, section by section; a value of None takes the key out."""
    result = dict(under)
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def unique(name: str) -> str:
    """A service name of this test alone, so that tests in parallel share no container, image or state."""
    return f"{name}-{random.Random(os.urandom(8)).randrange(16**6):06x}"


def git(path: Path, *arguments: str) -> str:
    """Runs git with an identity of its own, whatever this machine's configuration says. Returns what it printed."""
    settings = ["-c", "user.name=Tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", "-C", str(path), *settings, *arguments], check=False, capture_output=True, text=True, encoding="utf-8"
    )
    if done.returncode != 0:
        raise AssertionError(f"git {' '.join(arguments)}: {done.stderr}")
    return done.stdout.strip()
