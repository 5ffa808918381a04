"""A service on a host: its repository, its state directory, and the `release` command as a person runs it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.load import Load, Shot
from tests.support.services import Repository, tiny_service, unique

RELEASE = str(Path(sys.executable).with_name("release"))
TRANSLATE = Shot.post_json("/translate", {"text": "今天"})


@dataclass
class Ran:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def document(self) -> dict[str, Any]:
        return dict(json.loads(self.out))


@dataclass
class Site:
    repository: Repository
    state: Path
    environment: dict[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list, repr=False)

    @property
    def scope(self) -> str:
        return self.repository.service

    @property
    def url(self) -> str:
        return self.repository.public_url

    def command(self, *arguments: str) -> list[str]:
        return [RELEASE, "--state", str(self.state), *arguments]

    def start(self, *arguments: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        """Starts a command in a process group of its own; the caller waits for it or kills it."""
        process = subprocess.Popen(
            self.command(*arguments),
            cwd=cwd or self.repository.path,
            env={**os.environ, "GITHUB_ACTIONS": "", **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def run(self, *arguments: str, expect: int | None = 0, cwd: Path | None = None, timeout: float = 180) -> Ran:
        """Runs a command to its end. Fails the test where its exit code is another than `expect` (None: any)."""
        began = time.monotonic()
        process = self.start(*arguments, cwd=cwd)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"release {arguments} took longer than {timeout} s:\n{out}\n{err}") from None
        ran = Ran(process.returncode, out, err, time.monotonic() - began)
        if expect is not None and ran.code != expect:
            raise AssertionError(f"release {arguments} ended with {ran.code}, not {expect}:\n{out}\n{err}")
        return ran

    def deploy(self, tag: str, *more: str, expect: int | None = 0) -> Ran:
        return self.run("deploy", tag, *more, expect=expect)

    def status(self) -> dict[str, Any]:
        return self.run("status", "--json").document

    @property
    def live(self) -> str | None:
        live = self.status()["live"]
        return None if live is None else str(live)

    def deployments(self) -> list[dict[str, Any]]:
        return list(self.run("history", "--json").document["deployments"])

    def containers(self) -> dict[str, str]:
        """Name and state of every container of this service, running or not."""
        return dict(line.split("\t") for line in self._docker("ps", "-a", "--format", "{{.Names}}\t{{.State}}"))

    def images(self) -> list[str]:
        """Every image with this service's labels: tagged ones by tag, others as <none>."""
        return self._docker("images", "--format", "{{.Repository}}:{{.Tag}}")

    def wait_for(self, seconds: float, question: Any, what: str) -> None:
        """Asks until the answer is true; fails the test after `seconds`."""
        end = time.monotonic() + seconds
        while not question():
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds} s: {what}")
            time.sleep(0.05)

    @contextlib.contextmanager
    def load(self, clients: int = 4, shots: Sequence[Shot] = (TRANSLATE, Shot("GET", "/version"))) -> Iterator[Load]:
        """Keep-alive clients that never retry; what they counted is in `load.result` afterwards."""
        load = Load(self.url, shots, clients=clients, answer="header:X-Version", pause=0.005, timeout=60.0)
        load.start()
        try:
            yield load
        finally:
            load.stop()

    def remove(self) -> None:
        for process in self.started:  # what a test that failed had no time to end
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        if (self.state / self.scope / "ledger.db").exists():
            self.run("remove", "--yes", "--service", self.scope, expect=None, cwd=self.state)

    def _docker(self, *arguments: str) -> list[str]:
        listing = ["docker", *arguments, "--filter", f"label=release.scope={self.scope}"]
        done = subprocess.run(listing, check=True, capture_output=True, text=True)
        return done.stdout.splitlines()


def make_site(path: Path, manifest: Mapping[str, Any] | None = None, cases: int = 120) -> Site:
    """A repository with nothing committed yet and an empty state directory, both of this test alone."""
    path.chmod(0o755)
    repository = tiny_service(path / "repository", service=unique("e2e"), cases=cases, manifest=manifest)
    state = path / "state"
    state.mkdir()
    return Site(repository, state)
