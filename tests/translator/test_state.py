"""What must outlive a restart lies with the registry or the configuration that somebody gave, unless they say where."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from modelhost.registry.collect import gc
from modelhost.registry.directory import DirectoryRegistry
from tests.translator.running import ROOT, Running, Start
from translator import bundle
from translator.errors import StartError
from translator.hosting import Hosting
from translator.settings import MODELS, Settings, model_folders
from translator.state import state_folder

CONFIGURATION = """
registry: {root: registry}
components: {model: {}, tokenizer: {}, postprocessing: {}}
sets: {translation: [model, tokenizer, postprocessing]}
http: {tokens: tokens.jsonl}
"""


@pytest.fixture
def operator(tmp_path: Path) -> dict[str, str]:
    """The header of an operator, whose token is in tokens.jsonl."""
    command = [sys.executable, "-m", "modelhost.http.tokens", "--file", str(tmp_path / "tokens.jsonl"), "add", "ann"]
    done = subprocess.run([*command, "operator"], cwd=ROOT, check=True, capture_output=True, text=True)
    return {"Authorization": f"Bearer {done.stdout.split()[-1]}"}


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """One with the bundled versions."""
    folders = model_folders(MODELS)
    bundle.fill(tmp_path / "registry", folders)
    bundle.mark_stable(tmp_path / "registry", folders, "a test")
    return tmp_path / "registry"


def promote_the_older(running: Running, operator: dict[str, str]) -> None:
    running.wait_until_ready()
    body = {"version": "1.0.0", "reason": "a trial"}
    httpx.post(f"{running.url}/promote/model", json=body, headers=operator, timeout=60).raise_for_status()
    answer = httpx.post(f"{running.url}/translate", json={"text": "你好。"}, timeout=60).json()
    thumb = {"request_id": answer["request_id"], "thumb": "up"}
    httpx.post(f"{running.url}/feedback", json=thumb, timeout=60).raise_for_status()
    running.stop()


def kept_in(state: Path) -> tuple[list[str], list[str], list[str]]:
    """Who is in the audit trail, why there were switches, and the thumbs."""

    def lines(name: str, key: str) -> list[str]:
        return [json.loads(line)[key] for line in (state / name).read_text(encoding="utf-8").splitlines()]

    return (
        list(dict.fromkeys(lines("audit.jsonl", "who"))),
        lines("history.jsonl", "why"),
        lines("feedback.jsonl", "thumb"),
    )


def test_a_registry_of_ones_own_keeps_switches_audit_trail_and_thumbs(
    start: Start, operator: dict[str, str], registry: Path, tmp_path: Path
) -> None:
    settings = {"TRANSLATOR_REGISTRY": str(registry), "TRANSLATOR_TOKENS": str(tmp_path / "tokens.jsonl")}
    promote_the_older(start(**settings), operator)
    again = start(**settings)
    again.wait_until_ready()
    assert httpx.get(f"{again.url}/version", timeout=60).json()["model_version"] == "v1.0.0"
    switches = httpx.get(f"{again.url}/history", headers=operator, timeout=60).json()
    assert "a trial" in [each["why"] for each in switches]
    who, why, thumbs = kept_in(registry / ".state")
    assert (who, "a trial" in why, thumbs) == (["ann"], True, ["up"])


def test_a_configuration_of_ones_own_keeps_them_beside_it(
    start: Start, operator: dict[str, str], registry: Path, tmp_path: Path
) -> None:
    (tmp_path / "modelhost.yaml").write_text(CONFIGURATION)
    settings = {"TRANSLATOR_CONFIG": str(tmp_path / "modelhost.yaml")}
    promote_the_older(start(**settings), operator)
    again = start(**settings)
    again.wait_until_ready()
    assert httpx.get(f"{again.url}/version", timeout=60).json()["model_version"] == "v1.0.0"
    who, why, thumbs = kept_in(tmp_path / "state")
    assert (who, "a trial" in why, thumbs) == (["ann"], True, ["up"])


def test_the_registrys_listing_and_its_collector_pass_by_the_state(registry: Path) -> None:
    settings = Settings.from_environment({"TRANSLATOR_REGISTRY": str(registry)})
    hosting = Hosting.open(settings)
    hosting.host.close(0.0)
    hosting.close()
    kept = registry / ".state"
    (kept / "history.jsonl").write_text("")
    (kept / "1.0.0").mkdir()  # not even what looks like a version
    there = DirectoryRegistry(registry)
    assert there.components() == ["model", "postprocessing", "tokenizer"]
    collected = gc(there, grace=timedelta(0))
    assert not collected.swept and {verdict.entry.component for verdict in collected.verdicts} == set(
        there.components()
    )
    assert sorted(path.name for path in kept.iterdir()) == ["1.0.0", "history.jsonl"]


def test_a_registry_that_cannot_be_written_ends_the_start_with_what_to_set(
    start: Start, registry: Path, tmp_path: Path
) -> None:
    (registry / ".state").write_text("in the way")  # as a file system that is mounted to be read, also for root
    running = start(TRANSLATOR_REGISTRY=str(registry))
    output, _ = running.process.communicate(timeout=300)
    assert running.process.returncode == 2
    assert "TRANSLATOR_STATE" in output and str(registry) in output and "Traceback" not in output
    elsewhere = start(TRANSLATOR_REGISTRY=str(registry), TRANSLATOR_STATE=str(tmp_path / "state"))
    elsewhere.wait_until_ready()
    assert (tmp_path / "state" / "history.jsonl").is_file()


def test_a_registry_that_is_not_there_is_not_made_for_the_state(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="mounted"):
        Hosting.open(Settings.from_environment({"TRANSLATOR_REGISTRY": str(tmp_path / "away")}))
    assert not (tmp_path / "away").exists()


@pytest.mark.parametrize("given", [{}, {"MODEL_DIR": "/m"}, {"MODEL_DIR": "/m", "TRANSLATOR_REGISTRY": "/r"}])
def test_what_ends_with_the_process_keeps_nothing(given: dict[str, str]) -> None:
    assert state_folder(Settings.from_environment(given)) is None


def test_whoever_says_where_is_heeded() -> None:
    given = {"TRANSLATOR_STATE": "/s", "TRANSLATOR_REGISTRY": "/r", "TRANSLATOR_CONFIG": "/c/modelhost.yaml"}
    assert state_folder(Settings.from_environment(given)) == Path("/s")


def test_operators_of_a_registry_that_ends_with_the_process_are_told(start: Start, tmp_path: Path) -> None:
    (tmp_path / "tokens.jsonl").touch()
    running = start(TRANSLATOR_TOKENS=str(tmp_path / "tokens.jsonl"))
    running.wait_until_ready()
    running.process.terminate()
    output, _ = running.process.communicate(timeout=300)
    assert "end with this process: set TRANSLATOR_REGISTRY" in output


def test_a_folder_that_was_named_and_cannot_be_written_is_told_and_answers_go_on(
    start: Start, registry: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    running = start(TRANSLATOR_REGISTRY=str(registry), TRANSLATOR_STATE=str(tmp_path / "file" / "state"))
    running.wait_until_ready()
    assert httpx.post(f"{running.url}/translate", json={"text": "你好。"}, timeout=60).status_code == 200
    running.process.terminate()
    output, _ = running.process.communicate(timeout=300)
    assert "cannot be written (Not a directory)" in output and "nobody can switch" in output


def test_an_empty_registry_that_cannot_be_written_ends_it_with_a_reason(start: Start, tmp_path: Path) -> None:
    (tmp_path / "registry" / ".filling").mkdir(parents=True)  # in the way of its lock, also for root
    running = start(TRANSLATOR_REGISTRY=str(tmp_path / "registry"), TRANSLATOR_STATE=str(tmp_path / "state"))
    output, _ = running.process.communicate(timeout=300)
    assert running.process.returncode == 1
    assert "cannot be filled" in output and "Traceback" not in output
