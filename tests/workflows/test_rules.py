"""What every workflow here keeps, as files: GitHub's schema, the auditor's rules, and the rules of a release."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.hosted import load

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
TOOLS = Path(sys.executable).parent
PINNED = re.compile(r"^[\w-]+/[\w./-]+@[0-9a-f]{40}$")

WRITTEN = "the one that release init writes"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workflow of a repository that has nothing but a Dockerfile."""
    repository = tmp_path_factory.mktemp("service")
    subprocess.run(["git", "init", "--quiet"], cwd=repository, check=True)
    (repository / "Dockerfile").write_text("FROM scratch\nEXPOSE 5000\n")
    done = tool("release", "init", "-C", str(repository))
    assert done.returncode == 0, done.stdout + done.stderr
    return repository / ".github/workflows/release.yml"


@pytest.fixture(params=[*(path.name for path in WORKFLOWS), WRITTEN])
def path(request: pytest.FixtureRequest) -> Path:
    """Each workflow in turn."""
    if request.param == WRITTEN:
        return Path(request.getfixturevalue("written"))
    return ROOT / ".github/workflows" / request.param


def release_workflows(written: Path) -> list[dict[str, Any]]:
    return [load(ROOT / ".github/workflows/release.yml"), load(written)]


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def tool(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(TOOLS / command[0]), *command[1:]], capture_output=True, text=True, cwd=ROOT)


def test_there_is_a_workflow_for_tests_and_one_for_releases() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "release.yml"]


def test_a_workflow_satisfies_the_schema_of_github(path: Path) -> None:
    done = tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_workflow_passes_the_auditor_at_its_pedantic_setting(path: Path) -> None:
    done = tool("zizmor", "--offline", "--no-progress", "--persona=pedantic", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_action_is_pinned_by_commit_and_says_which_version_that_is(path: Path) -> None:
    uses = [step["uses"] for step in steps(load(path)) if "uses" in step]
    assert uses
    assert all(PINNED.match(use) for use in uses)
    lines = [line for line in path.read_text().splitlines() if "uses:" in line]
    assert all(re.search(r"# v\d+\.\d+\.\d+$", line) for line in lines)


def test_nothing_is_interpolated_into_a_script(path: Path) -> None:
    scripts = [step["run"] for step in steps(load(path)) if "run" in step]
    assert scripts
    assert not [script for script in scripts if "${{" in script]


def test_a_workflow_may_read_the_repository_and_nothing_else_unless_a_job_says_so(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    writing = {
        name
        for name, job in workflow["jobs"].items()
        if any(access == "write" for access in job.get("permissions", {}).values())
    }
    pushing = {name for name, job in workflow["jobs"].items() if any(step["name"] == "Push" for step in job["steps"])}
    assert writing == pushing


def test_one_release_runs_at_a_time_and_none_is_cancelled_half_way(written: Path) -> None:
    for workflow in release_workflows(written):
        assert workflow["concurrency"] == {"group": "release", "cancel-in-progress": False}


def test_only_a_version_tag_or_a_person_starts_a_release(written: Path) -> None:
    for workflow in release_workflows(written):
        on = workflow["on"]
        assert on.keys() == {"push", "workflow_dispatch"}
        assert on["push"] == {"tags": ["v*"]}
        assert on["workflow_dispatch"]["inputs"]["tag"]["required"] is True


def test_the_deployment_runs_on_the_host_in_a_protected_environment(written: Path) -> None:
    for workflow in release_workflows(written):
        job = workflow["jobs"]["deploy"]
        assert job["environment"] == "production"
        assert "self-hosted" in job["runs-on"]


def test_the_deployment_waits_for_build_gates_and_push() -> None:
    assert load(ROOT / ".github/workflows/release.yml")["jobs"]["deploy"]["needs"] == "image"


def test_a_deploying_shell_becomes_the_command_so_that_signals_reach_it(written: Path) -> None:
    for workflow in release_workflows(written):
        scripts = [step["run"] for step in workflow["jobs"]["deploy"]["steps"] if "run" in step]
        deploying = [script for script in scripts if "release deploy" in script]
        assert len(deploying) == 1
        assert deploying[0].strip().splitlines()[-1] == 'exec release deploy "$TAG"'
