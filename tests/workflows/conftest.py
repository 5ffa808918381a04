"""A repository that a release workflow can run in: this one, with a small service in the place of the translator."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.ports import free_ports

ROOT = Path(__file__).resolve().parents[2]

DOCKERFILE = """
    ARG BASE_IMAGE
    FROM ${BASE_IMAGE}
    COPY service.py /service.py
    USER 10001:10001
    EXPOSE 5000
    CMD ["python3", "-u", "/service.py"]
"""

SERVICE = """
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    HEALTHY = True


    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            body = b"hello"
            self.send_response(200 if HEALTHY else 503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)


    ThreadingHTTPServer(("0.0.0.0", 5000), Handler).serve_forever()
"""

SUITE = """
    import urllib.request


    def test_it_says_hello(candidate_url):
        with urllib.request.urlopen(candidate_url + "/", timeout=60) as answer:
            assert answer.read() == b"hello"
"""

MANIFEST = """
    service: {service}
    build:
      base: {{image: "{service}.invalid/python:3.11", bootstrap: bookworm}}
    registry: {{push: false, username: "${{REGISTRY_USER:-}}", password: "${{REGISTRY_PASSWORD:-}}"}}
    container: {{port: 5000, memory: 64m, stop_timeout: 1s}}
    slots: {{blue: {blue}, green: {green}}}
    drain: 0s
    proxy: {{listen: {listen}, admin: {admin}, address: 127.0.0.1}}
    checks:
      health: {{path: /health, timeout: 20s, settle: 500ms}}
      integration: {{suite: suite}}
    rollout: {{observe: {{for: 3s, min_requests: 5}}}}
"""


@dataclass(frozen=True)
class Project:
    """A repository with tags v1.0.0 (works) and v1.1.0 (its service is not healthy), and where its jobs are at home."""

    repository: Path
    home: Path
    listen: int

    def state(self, job: str) -> Path:
        return self.home / f"state-{job}"

    def machine(self, job: str) -> dict[str, str]:
        """A state of its own for each job, and other ports for the runner than for the host: here both are one machine,
        where what the host serves goes on holding its ports."""
        ports = dict(zip(("SLOTS__BLUE", "SLOTS__GREEN", "PROXY__LISTEN", "PROXY__ADMIN"), free_ports(4), strict=True))
        others = {f"RELEASE__{name}": str(port) for name, port in ports.items()} if job == "image" else {}
        return {"RELEASE_STATE": str(self.state(job)), **others}


@pytest.fixture
def project() -> Iterator[Project]:
    # Not tmp_path, which only its owner may enter: nginx's worker user has to read the flags below the state.
    home = Path(tempfile.mkdtemp(prefix="release-workflow-"))
    home.chmod(0o755)
    blue, green, listen, admin = free_ports(4)
    repository = home / "repository"
    service = f"workflow-{uuid.uuid4().hex[:8]}"
    manifest = MANIFEST.format(service=service, blue=blue, green=green, listen=listen, admin=admin)
    _git(home, "clone", "--quiet", "--no-hardlinks", str(ROOT), str(repository))
    shutil.rmtree(repository / "translator")
    files = {"Dockerfile": DOCKERFILE, "service.py": SERVICE, "suite/test_hello.py": SUITE, "release.yaml": manifest}
    for name, text in files.items():
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text(textwrap.dedent(text).lstrip())
    (repository / ".dockerignore").write_text("*\n!service.py\n")
    _commit(repository, "v1.0.0")
    healthy = (repository / "service.py").read_text()
    (repository / "service.py").write_text(healthy.replace("HEALTHY = True", "HEALTHY = False"))
    _commit(repository, "v1.1.0")
    project = Project(repository, home, listen)
    try:
        yield project
    finally:
        try:
            for job in ("image", "deploy"):
                if project.state(job).exists():
                    _remove(repository, project.state(job))
        finally:
            shutil.rmtree(home)


def _remove(repository: Path, state: Path) -> None:
    command = [str(Path(sys.executable).parent / "release"), "remove", "--yes", "--state", str(state)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=repository)
    assert done.returncode == 0, done.stdout + done.stderr


def _commit(repository: Path, tag: str) -> None:
    _git(repository, "add", "--all")
    _git(repository, "commit", "--quiet", "--message", tag)
    _git(repository, "tag", tag)


def _git(directory: Path, *arguments: str) -> None:
    who = {
        f"GIT_{role}_{what}": "test@example.invalid" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    subprocess.run(["git", *arguments], cwd=directory, check=True, env={**os.environ, **who})
