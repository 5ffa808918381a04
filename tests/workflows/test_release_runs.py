"""The release workflow's own lines, run in order on a clean clone: a tag goes live, and one that fails its gates does
not."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workflows.conftest import ROOT, Project
from tests.workflows.hosted import Hosted, load, runner_environment

pytestmark = pytest.mark.docker


def hosted(project: Project, tag: str) -> Hosted:
    contexts = {
        "github": {"ref_name": tag, "actor": "somebody", "repository": "team/service", "run_id": "1"},
        "inputs": {},
        "vars": {},
        "secrets": {"GITHUB_TOKEN": "a-token"},
    }
    environment = runner_environment(project.home) | {
        "PIP_CACHE_DIR": str(project.home / "pip"),
        "PIP_NO_COMPILE": "1",  # most of an installation's time; each command here runs once
    }
    machines = {job: project.machine(job) for job in ("image", "deploy")}
    workflow = load(ROOT / ".github/workflows/release.yml")
    return Hosted(workflow, project.repository, project.home / tag, contexts, environment, machines)


def told(runner: Hosted) -> str:
    return "\n".join(
        f"--- {step.job} / {step.name}: {step.exit_code} after {step.seconds:.0f} s\n{step.output}"
        for step in runner.ran
    )


@pytest.fixture
def visitors(project: Project) -> Iterator[None]:
    """Somebody asks the public listener all the time, so that there is something to observe after a switch."""
    gone = threading.Event()

    def ask() -> None:
        while not gone.wait(0.05):
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"http://127.0.0.1:{project.listen}/", timeout=30),
            ):
                pass

    thread = threading.Thread(target=ask)
    thread.start()
    yield
    gone.set()
    thread.join()


@pytest.mark.usefixtures("visitors")
def test_a_tag_goes_live_and_one_that_fails_its_gates_is_not_deployed(project: Project) -> None:
    good = hosted(project, "v1.0.0")
    assert good.run(), told(good)
    assert [step.job for step in good.ran if "release deploy" in step.name or step.name == "Deploy"] == ["deploy"]
    with urllib.request.urlopen(f"http://127.0.0.1:{project.listen}/", timeout=60) as answer:
        assert answer.read() == b"hello"
    assert [path.name for path in good.artifacts] == ["release-report.md"]
    assert "v1.0.0-" in good.artifacts[0].read_text()
    assert "v1.0.0-" in good.summaries["deploy/Deploy"]
    assert "a-token" not in told(good)

    bad = hosted(project, "v1.1.0")
    assert not bad.run()
    assert [(step.name, step.exit_code) for step in bad.ran if step.exit_code not in (0, None)] == [
        ("Build, and every gate", 1)
    ], told(bad)
    assert not [
        step for step in bad.ran if step.job == "deploy" or (step.name == "Push" and step.exit_code is not None)
    ]
    with urllib.request.urlopen(f"http://127.0.0.1:{project.listen}/", timeout=60) as answer:
        assert answer.status == 200
    assert live(project).startswith("v1.0.0-")


def live(project: Project) -> str:
    command = [
        str(Path(sys.executable).parent / "release"),
        "status",
        "--json",
        "--state",
        str(project.state("deploy")),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=project.home, check=True)
    return str(json.loads(done.stdout)["live"])
