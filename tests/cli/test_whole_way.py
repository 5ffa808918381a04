"""The commands on a real service, from the first deployment to its removal: what they print and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.calling import Said, inside, process
from tests.support.engines import clear
from tests.support.images import base_image
from tests.support.services import Repository, tiny_service, unique

pytestmark = pytest.mark.docker

MANIFEST = {
    "checks": {"integration": None, "quality": None, "latency": None, "warmup": {"requests": 2}},
    "rollout": {"observe": {"for": "500ms", "min_requests": 1}},
}


@dataclass
class Place:
    """A repository, a state folder, and an empty folder far from both."""

    repository: Repository
    state: Path
    elsewhere: Path
    first: Said
    second: Said

    def call(self, *arguments: str, cwd: Path | None = None) -> Said:
        return inside(*arguments, cwd=cwd or self.elsewhere, state=self.state)

    def json(self, *arguments: str) -> dict[str, Any]:
        document = json.loads(self.call(*arguments, "--json").out)
        assert isinstance(document, dict)
        return document


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """v1.0.0 deployed for a program, then v1.1.0 as a GitHub workflow does it."""
    base_image()
    folder = tmp_path_factory.mktemp("whole")
    repository = tiny_service(folder / "shop", service=unique("clishop"), cases=4, manifest=MANIFEST)
    repository.release("v1.0.0")
    repository.release("v1.1.0")
    repository.release(
        "v1.2.0", health=500, log=["loading weights"], manifest={"checks": {"health": {"timeout": "10s"}}}
    )
    state, elsewhere = folder / "state", folder / "elsewhere"
    elsewhere.mkdir()
    workflow = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_ACTOR": "ada",
        "GITHUB_RUN_ID": "77",
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
    }
    try:
        first = process("deploy", "v1.0.0", "--json", cwd=repository.path, state=state)
        second = process("deploy", "v1.1.0", cwd=repository.path, state=state, environ=workflow)
        yield Place(repository, state, elsewhere, first, second)
    finally:
        process("remove", "--yes", cwd=folder, state=state)
        clear(repository.service)


def test_with_json_a_deployment_is_one_document_and_its_progress_is_on_stderr(place: Place) -> None:
    document = json.loads(place.first.out)
    assert (place.first.code, document["ok"], document["outcome"]) == (0, True, "live"), place.first.err
    assert document["release"].startswith("v1.0.0-")
    assert set(document["data"]) >= {"slot", "seconds", "switch_microseconds"}
    assert "✓ switch: " in place.first.err


def test_a_gate_that_is_not_configured_is_skipped_aloud_and_on_record(place: Place) -> None:
    told = "not configured (checks.quality)"
    assert f"– quality: skipped: {told}" in place.first.err
    record = place.json("report", json.loads(place.first.out)["deployment"])
    gates = ["health", "warmup", "contract", "integration", "quality", "latency"]
    assert [stage["step"] for stage in record["stages"] if stage["step"] in gates] == gates
    assert [verdict["reason"] for verdict in record["verdicts"] if verdict["check"] == "quality"] == [told]


def test_gates_against_a_url_tell_passed_from_skipped(place: Place) -> None:
    url = place.repository.public_url
    said = inside("check", "--url", url, "--json", cwd=place.repository.path, state=place.state)
    document = json.loads(said.out)
    outcomes = {verdict["check"]: verdict["outcome"] for verdict in document["data"]["verdicts"]}
    assert outcomes["health"] == "pass" and outcomes["quality"] == "skipped"
    skips = list(outcomes.values()).count("skipped")
    assert document["text"] == f"{url} passed {len(outcomes) - skips} checks; {skips} were skipped"


def test_a_workflow_gets_outputs_and_a_summary(place: Place) -> None:
    folder = place.state.parent
    assert place.second.code == 0, place.second.err
    output = (folder / "output").read_text(encoding="utf-8")
    for name in ("release", "image", "digest", "outcome", "deployment", "url"):
        assert f"{name}<<" in output
    assert place.repository.public_url in output
    summary = (folder / "summary").read_text(encoding="utf-8")
    assert "Deployment of v1.1.0-" in summary
    assert "ada (GitHub Actions run 77)" in summary
    assert "\x1b" not in place.second.err + place.second.out


def test_status_tells_the_same_to_people_and_programs(place: Place) -> None:
    document, text = place.json("status"), place.call("status").out
    assert document["live"].startswith("v1.1.0-")
    assert document["target"].startswith("v1.0.0-")
    assert document["takes"].startswith("warm")
    assert document["live"] in text and document["target"] in text


def test_a_refused_release_says_why_keeps_its_log_and_leaves_live_alone(place: Place) -> None:
    said = place.call("deploy", "v1.2.0", cwd=place.repository.path)
    assert said.code == 1
    assert said.out == ""
    assert "error: health refused it" in said.err
    assert "| loading weights" in said.err
    assert said.err.splitlines()[-1].strip().startswith("v1.1.0-")
    assert said.err.splitlines()[-1].endswith(" is live")
    assert place.json("status")["live"].startswith("v1.1.0-")
    assert "loading weights" in place.call("logs", "v1.2.0").out
    report = place.call("report", "v1.2.0").out
    assert "❌ Deployment of v1.2.0-" in report
    assert "loading weights" in report


def test_a_version_that_is_live_already_changes_nothing(place: Place) -> None:
    before = place.json("history")["deployments"]
    said = place.call("deploy", "v1.1.0", cwd=place.repository.path)
    assert (said.code, "live already" in said.out) == (0, True)
    assert place.json("history")["deployments"] == before


def test_a_workflow_that_runs_again_hands_on_the_same_outputs(place: Place) -> None:
    output = place.state.parent / "output-again"
    workflow = {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": str(output)}
    said = process("deploy", "v1.1.0", cwd=place.repository.path, state=place.state, environ=workflow)
    assert said.code == 0, said.err
    first, again = ((place.state.parent / name).read_text(encoding="utf-8").splitlines() for name in ("output", output))
    for name in ("release", "image", "outcome", "url"):
        values = [
            lines[next(n for n, line in enumerate(lines) if line.startswith(f"{name}<<")) + 1]
            for lines in (first, again)
        ]
        assert values[0] == values[1] != ""


def test_history_logs_and_report_are_read_from_any_folder(place: Place) -> None:
    document = place.json("history")
    assert [row["kind"] for row in document["deployments"]][-2:] == ["deploy", "deploy"]
    assert document["switches"][-1]["microseconds"] > 0
    assert "v1.0.0-" in place.call("history").out
    assert "tiny 1.1.0 serves" in place.call("logs").out
    assert place.call("logs", "--tail", "1").out.count("\n") == 1
    assert place.json("logs", "blue")["lines"]
    written = place.elsewhere / "report.md"
    assert place.call("report", "--output", "report.md").code == 0
    assert written.read_text(encoding="utf-8").startswith("## ")
    assert place.json("report", "v1.0.0")["deployment"]["state"] == "live"


def test_a_log_whose_reader_leaves_is_no_error(place: Place) -> None:
    code = f"{sys.executable} -m release.cli.main logs green | true; echo ${{PIPESTATUS[0]}}"
    environ = {**os.environ, "RELEASE_STATE": str(place.state)}
    done = subprocess.run(
        ["bash", "-c", code], cwd=place.elsewhere, env=environ, capture_output=True, text=True, check=True
    )
    assert (done.stdout.strip(), done.stderr) == ("0", "")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """What is started hears SIGINT, also where this was started in the background of a shell, which has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_watching_ends_with_ctrl_c_and_without_an_error(place: Place) -> None:
    environ = {**os.environ, "RELEASE_STATE": str(place.state)}
    command = [sys.executable, "-m", "release.cli.main", "status", "--watch", "--interval", "0.2"]
    watching = subprocess.Popen(
        command, cwd=place.elsewhere, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert watching.stdout is not None
    first = watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    _, err = watching.communicate(timeout=60)
    assert (watching.returncode, err) == (0, "")
    assert place.repository.service in first


def test_looking_after_the_house_changes_nothing_that_is_needed(place: Place) -> None:
    assert place.json("prune", "--dry-run")["dry_run"] is True
    assert place.json("proxy", "status")["running"] is True
    findings = place.json("doctor")["findings"]
    assert {finding["about"] for finding in findings} >= {"engine", "proxy", "traffic", "ledger", "rollback"}
    assert place.call("proxy", "uninstall").code == 2
    assert place.call("remove").code == 2
    assert place.call("abort").code == 0


def test_an_unknown_release_is_a_usage_error_that_lists_the_known(place: Place) -> None:
    for arguments in (("rollback", "--to", "v9.9.9"), ("accept", "v9.9.9", "--reason", "x"), ("report", "v9.9.9")):
        said = place.call(*arguments)
        assert said.code == 2, said
        assert said.err.startswith("error: ")


def test_rollback_goes_back_once_and_says_so_the_second_time(place: Place) -> None:
    listed = place.json("rollback", "--list")["targets"]
    assert [target["how"] for target in listed] == ["warm"]
    document = place.json("rollback", "--reason", "wrong answers")
    assert (document["ok"], document["outcome"]) == (True, "rolled back")
    assert document["release"].startswith("v1.0.0-")
    again = place.call("rollback")
    assert (again.code, "already rolled back" in again.out) == (0, True)
    assert "wrong answers" in place.call("history", "--limit", "1").out
    assert "Rollback to v1.0.0-" in place.call("report").out
