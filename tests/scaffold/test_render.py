"""What `release init` writes is a manifest that loads, and a workflow that holds to the rules."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from release.config.load import parse
from release.scaffold import Certainty, Findings, Guess, Ports, render
from release.scaffold.render import MANIFEST, WORKFLOW

ROOT = Path(__file__).parents[2]
SHAPES = {
    "uvicorn": 'FROM python:3.11\nCMD ["uvicorn", "a:b", "--port", "8000"]\nHEALTHCHECK CMD curl localhost/health\n',
    "gunicorn": "FROM python:3.11\nEXPOSE 5000\nCMD gunicorn -b 0.0.0.0:5000 app:app\n",
    "flask": "FROM python:3.11\nENV FLASK_RUN_PORT=5000\nCMD flask run\n",
    "node": 'FROM node AS build\nRUN npm ci\nFROM node:slim\nCOPY --from=build /a /a\nEXPOSE 3000\nCMD ["node", "."]\n',
    "argument": "ARG PORT=9000\nFROM a\nARG PORT\nEXPOSE ${PORT}/tcp\n",
    "lower case": "from a\nexpose 80\ncmd run\n",
    "continued": "FROM a\nENV X=1 \\\n  # why\n  PORT=7000\nCMD \\\n  run \\\n  --port 7001\n",
    "heredoc": "FROM a\nRUN <<EOF\nEXPOSE 1\nEOF\nEXPOSE 80\n",
    "silent": "FROM a\n",
    "odd text in comments": "FROM a\nCMD echo \"# {[%]}: 'x' ${A:-b} $${C}\" --port 80\n",
    "windows ends": "FROM a\r\nEXPOSE 80\r\n",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_manifest_loads_for_every_shape_of_dockerfile(findings_of, shape: str) -> None:
    findings = findings_of(SHAPES[shape])
    manifest, _ = parse(render(findings)[MANIFEST], MANIFEST, environ={})
    assert manifest.service == "my-app"
    assert str(manifest.container.port) == findings.port.value
    assert manifest.checks.health.path == findings.health.value
    assert (manifest.slots.blue, manifest.proxy.listen, manifest.proxy.admin_port) == (8101, 8080, 18080)
    assert manifest.build.dockerfile == "Dockerfile"


def test_every_line_that_is_commented_out_loads_once_uncommented(findings_of) -> None:
    text = render(findings_of("FROM a\nEXPOSE 80\n"))[MANIFEST]
    for old, new in (
        ("# environment:", "environment:"),
        ("# image:", "image:"),
        ("# registry:", "registry:"),
        ("# notify:", "notify:"),
        ("# hooks:", "hooks:"),
        *((f"# {key}:", f"{key}:") for key in ("args", "env", "secrets", "volumes", "memory", "gpus")),
        *((f"# {key}:", f"{key}:") for key in ("contract", "integration", "quality", "latency")),
        *((f"#   {key}:", f"  {key}:") for key in ("cases", "request", "answer", "metrics")),
    ):
        assert old in text
        text = text.replace(old, new)
    environ = {"REGISTRY_USER": "a", "REGISTRY_PASSWORD": "b", "RELEASE_NOTIFY_URL": "json://x"}
    manifest, _ = parse(text, MANIFEST, environ=environ)
    assert manifest.registry.push
    assert manifest.checks.quality is not None
    assert manifest.checks.latency is not None
    assert manifest.container.memory == 2 << 30


def test_guesses_are_told_in_the_manifest_with_their_place(findings_of) -> None:
    text = render(findings_of("FROM a\n\nEXPOSE 81\n", app_dot_py="from fastapi import FastAPI\n"))[MANIFEST]
    assert "# Dockerfile, line 3: EXPOSE 81 (sure)\n  port: 81\n" in text
    assert "# nothing names a health path; / has to answer 2xx (a guess)\n  health: {path: /," in text
    assert "# app.py, line 1: from fastapi import FastAPI (likely)\n  contract: {openapi: /openapi.json}\n" in text


def guess(value: str, reason: str = "") -> Guess:
    return Guess(value, reason, Certainty.GUESS)


paths = st.text(min_size=0, max_size=20).map(lambda text: "/" + "".join(text.split()).replace("${", ""))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["null", "true", "123", "0-1", "a-b", "on", "1e3", "a"]), paths, st.text(max_size=40))
def test_any_name_path_and_reason_come_back_as_they_are(service: str, path: str, reason: str) -> None:
    if any(not char.isprintable() for char in path):
        path = "/"
    ports = Ports(1, 2, 3, 4)
    findings = Findings(guess(service, reason), guess("80", reason), guess(path, reason), "Dockerfile", ports)
    manifest, _ = parse(render(findings)[MANIFEST], MANIFEST, environ={})
    assert (manifest.service, manifest.checks.health.path, manifest.container.port) == (service, path, 80)


@pytest.fixture(scope="module")
def workflow() -> str:
    return render(Findings(guess("my-app"), guess("80"), guess("/"), "Dockerfile", Ports(1, 2, 3, 4)))[WORKFLOW]


def test_the_workflow_cancels_nothing_and_may_do_little(workflow: str) -> None:
    read = yaml.load(workflow, Loader=yaml.BaseLoader)
    assert read["on"]["push"]["tags"] == ["v*"]
    assert read["on"]["workflow_dispatch"]["inputs"]["tag"]["required"] == "true"
    assert read["concurrency"]["cancel-in-progress"] == "false"
    assert read["permissions"] == {"contents": "read"}
    job = read["jobs"]["deploy"]
    assert job["runs-on"][0] == "self-hosted"
    assert job["environment"] == "production"


def test_the_workflow_s_tag_goes_through_the_environment(workflow: str) -> None:
    steps = yaml.load(workflow, Loader=yaml.BaseLoader)["jobs"]["deploy"]["steps"]
    scripts = [step["run"] for step in steps if "run" in step]
    assert scripts == ['exec release deploy "$TAG"']
    assert all("${{" not in script for script in scripts)
    assert steps[-1]["env"]["TAG"] == "${{ inputs.tag || github.ref_name }}"


def test_the_workflow_pins_actions_and_leaves_no_credentials(workflow: str) -> None:
    steps = yaml.load(workflow, Loader=yaml.BaseLoader)["jobs"]["deploy"]["steps"]
    used = [step for step in steps if "uses" in step]
    assert used
    for step in used:
        assert len(step["uses"].partition("@")[2]) == 40
        assert f"{step['uses']} # v" in workflow
        assert step["with"]["persist-credentials"] == "false"
        assert step["with"]["fetch-depth"] == "0"


def test_the_workflow_passes_github_s_schema_and_zizmor(workflow: str, tmp_path: Path) -> None:
    path = tmp_path / ".github" / "workflows" / "release.yml"
    path.parent.mkdir(parents=True)
    path.write_text(workflow)
    tools = Path(sys.executable).parent
    schema = subprocess.run(
        [tools / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", path],
        capture_output=True,
        text=True,
    )
    assert schema.returncode == 0, schema.stdout + schema.stderr
    audit = subprocess.run(
        [tools / "zizmor", "--offline", "--no-progress", "--format", "json", path],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert audit.returncode == 0, audit.stdout + audit.stderr
    assert json.loads(audit.stdout) == []
