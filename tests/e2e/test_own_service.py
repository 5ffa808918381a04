"""A service that this project did not write: a WSGI package, a plain Dockerfile, what `release init` wrote."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.images import base_image
from tests.support.ports import free_ports
from tests.support.services import Repository, merged, unique
from tests.support.site import Site

WHEELS = ("httpbin==0.10.4", "gunicorn==27.0.1", "greenlet==2.0.2", "pip==25.3")
DOCKERFILE = """\
ARG BASE_IMAGE=python:3.11-slim
FROM ${BASE_IMAGE}
WORKDIR /srv
COPY wheels /wheels
RUN PYTHONPATH="$(echo /wheels/pip-*.whl)" python3 -m pip install --no-index --find-links /wheels \\
    --no-compile --break-system-packages httpbin gunicorn
COPY VERSION .
EXPOSE 8000
CMD ["gunicorn", "-b", "0.0.0.0:8000", "-w", "1", "httpbin:app"]
"""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    """A repository as its owner has it: sources, wheels and a Dockerfile; nothing in it knows of this tool."""
    tmp_path.chmod(0o755)
    place, state = tmp_path / "web-echo", tmp_path / "state"
    (place / "wheels").mkdir(parents=True)
    state.mkdir()
    download = ["-m", "pip", "download", "--quiet", "--only-binary=:all:", "--python-version", "3.11"]
    subprocess.run([sys.executable, *download, "--dest", str(place / "wheels"), *WHEELS], check=True)
    repository = Repository(place, {"service": "web-echo"})
    repository.git("init", "--quiet", "--initial-branch=main")
    repository.write("Dockerfile", DOCKERFILE)
    repository.write("VERSION", "1.0.0\n")
    site = Site(repository, state)
    yield site
    site.remove()
    assert site.containers() == {}, "a container is left behind"
    assert site.images() == [], "an image is left behind"


def adapt(own: Site) -> None:
    """What a person changes in the manifest that `init` wrote: a name, ports, a base, and times fit for a test."""
    repository = own.repository
    blue, green, listen, admin = free_ports(4)
    guessed = yaml.safe_load((repository.path / "release.yaml").read_text(encoding="utf-8"))
    assert guessed["service"] == "web-echo"
    assert guessed["container"]["port"] == 8000
    changes = {
        "service": unique("own"),
        "build": {"args": {"BASE_IMAGE": base_image()}},
        "slots": {"blue": blue, "green": green},
        "proxy": {"listen": listen, "admin": admin, "address": "127.0.0.1"},
        "drain": "200ms",
        "container": {"stop_timeout": "2s"},
        "checks": {"health": {"path": "/get", "settle": "200ms"}},
        "rollout": {"observe": {"for": "1s", "min_requests": 5}},
    }
    repository.manifest = merged(guessed, changes)
    repository.write("release.yaml", yaml.safe_dump(repository.manifest, sort_keys=False))


def tag(own: Site, name: str) -> None:
    own.repository.write("VERSION", name.removeprefix("v") + "\n")
    own.repository.git("add", "--all")
    own.repository.git("commit", "--quiet", "-m", name)
    own.repository.git("tag", name)


def status_of(url: str) -> int:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return int(answer.status)


@pytest.mark.docker
def test_a_service_that_knows_nothing_of_this_tool_goes_the_whole_way(own: Site) -> None:
    own.run("init")
    adapt(own)
    tag(own, "v1.0.0")
    own.deploy("v1.0.0")
    assert status_of(own.url + "/get?a=1") == 200
    tag(own, "v1.1.0")
    own.deploy("v1.1.0")
    live, before = own.status()["live"], own.deployments()[1]["release"]
    assert re.fullmatch(r"v1\.1\.0-[0-9a-f]{7}", live)

    own.run("rollback")
    assert own.live == before and before.startswith("v1.0.0-")
    assert status_of(own.url + "/get") == 200
    assert "already rolled back" in own.run("rollback").out
    assert [row["kind"] for row in own.deployments()] == ["rollback", "deploy", "deploy"]
    assert live in own.run("report", live).out
    assert "gunicorn" in own.run("logs", live).out, "the log of the standby"
    assert own.run("doctor").out.splitlines()[-1] == "all is well"
    own.run("prune")
    assert status_of(own.url + "/get") == 200, "prune leaves what serves"

    assert "release remove --yes" in own.run("remove", expect=2).err
    own.run("remove", "--yes")
    assert own.containers() == {}
    assert own.images() == []
