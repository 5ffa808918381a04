"""`release models` on a service that runs: a switch goes through the quality gate against the version that serves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from release.ledger.records import ModelAction, ModelState, ModelSwitchRow
from release.ledger.store import Ledger
from release.verdict import Outcome, Verdict
from tests.cli.calling import Call
from tests.cli.gated import after_asking, gate
from tests.support.translating import CASES, Translating
from tests.support.versions import publishing

ROOT = Path(__file__).parents[2]
WHY = ("--reason", "for a test")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Translating]:
    """1.0.0 serves and gets two sentences wrong; 1.1.0 gets none wrong, 1.2.0 every second."""
    service = Translating(tmp_path / "service")
    service.publish("1.0.0", wrong=2, stable=True)
    service.publish("1.1.0")
    service.publish("1.2.0", wrong=14)
    service.start()
    yield service
    service.stop()


@pytest.fixture
def manifest(
    call: Call, running: Translating, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """Writes a release.yaml that names the service and its token, with the benchmark set beside it."""
    here = tmp_path / "here"
    monkeypatch.setenv("OPERATOR", running.operator)

    def write(models: str = "") -> None:
        gate(here, running.url, models)

    write()
    return write


def recorded(tmp_path: Path) -> tuple[ModelSwitchRow, list[Verdict]]:
    """The last switch, and what the gate said of it."""
    with Ledger(tmp_path / "state" / "shop" / "ledger.db", readonly=True) as ledger:
        row = ledger.model_switches(limit=1)[0]
        return row, ledger.verdicts(row.id)


def translated(running: Translating) -> tuple[str, str]:
    """What a user gets for the first sentence, and from which version."""
    source = CASES[0][0]
    answer = requests.post(f"{running.url}/translate", json={"text": source}, timeout=30)
    return answer.json()["translation"], answer.headers["X-Model-Version"]


def state_of(call: Call, version: str) -> str:
    held = json.loads(call("models", "list", "translator", "--json").out)["versions"]
    return str({one["version"]: one["state"] for one in held}[version])


def awaited(condition: Callable[[], bool]) -> None:
    """What leaves memory goes once the last request that uses it has ended."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "did not come true"
        time.sleep(0.05)


@pytest.mark.usefixtures("manifest")
def test_a_better_version_passes_the_gate_and_serves(call: Call, running: Translating, tmp_path: Path) -> None:
    assert translated(running) == ("zzz qqq xxx", "1.0.0")
    done = call("models", "promote", "translator", "1.1.0", *WHY, "--json")
    assert done.code == 0 and json.loads(done.out)["outcome"] == "switched", done.err
    assert translated(running) == (CASES[0][1], "1.1.0")
    row, (verdict,) = recorded(tmp_path)
    assert (row.action, row.before, row.after) == (ModelAction.PROMOTE, "1.0.0", "1.1.0")
    assert (row.state, row.place, row.reason) == (ModelState.SWITCHED, running.url, "for a test")
    assert verdict.outcome is Outcome.PASS and verdict.evidence["live"]["release"] == "translator 1.0.0"


@pytest.mark.usefixtures("manifest")
def test_a_worse_version_is_refused_leaves_memory_again_and_nobody_gets_it(
    call: Call, running: Translating, tmp_path: Path
) -> None:
    said = call("models", "promote", "translator", "1.2.0", *WHY)
    assert said.code == 1 and "quality refused it" in said.err
    assert translated(running)[1] == running.serving == "1.0.0"
    awaited(lambda: state_of(call, "1.2.0") == "UNAVAILABLE")
    row, (verdict,) = recorded(tmp_path)
    assert (row.state, row.version, row.after) == (ModelState.REFUSED, "1.2.0", None)
    assert verdict.outcome is Outcome.FAIL and verdict.evidence["comparisons"]
    (listed,) = json.loads(call("history", "--json").out)["model_switches"]
    assert listed["verdicts"][0]["evidence"]["comparisons"]


@pytest.mark.usefixtures("manifest")
def test_the_gate_left_out_is_on_record_and_the_version_serves(
    call: Call, running: Translating, tmp_path: Path
) -> None:
    assert call("models", "promote", "translator", "1.2.0", *WHY, "--without-gate", "an experiment").code == 0
    assert running.serving == "1.2.0"
    _, (verdict,) = recorded(tmp_path)
    assert verdict.outcome is Outcome.SKIPPED and "an experiment" in verdict.reason


@pytest.mark.usefixtures("manifest")
def test_answers_that_do_not_say_which_version_made_them_prove_nothing(call: Call, running: Translating) -> None:
    running.anonymous = True
    said = call("models", "promote", "translator", "1.1.0", *WHY)
    assert said.code == 1 and "the answer has no X-Model-Set" in said.err
    assert running.serving == "1.0.0"


@pytest.mark.usefixtures("manifest")
def test_a_rollback_takes_effect_at_once_and_is_recorded(call: Call, running: Translating, tmp_path: Path) -> None:
    assert call("models", "promote", "translator", "1.1.0", *WHY).code == 0
    said = call("models", "rollback", "translator", "--reason", "wrong names")
    assert said.code == 0 and translated(running)[1] == "1.0.0"
    row, verdicts = recorded(tmp_path)
    assert (row.action, row.before, row.after, row.state) == (
        ModelAction.ROLLBACK,
        "1.1.0",
        "1.0.0",
        ModelState.SWITCHED,
    )
    assert row.reason == "wrong names" and verdicts == []
    history = call("history").out
    assert "model rollback" in history and "wrong names" in history
    again = call("models", "rollback", "translator", *WHY)
    assert again.code == 1 and running.serving == "1.0.0"


@pytest.mark.usefixtures("manifest")
def test_a_switch_that_was_meant_for_another_generation_is_superseded_before_the_gate(
    call: Call, running: Translating, tmp_path: Path
) -> None:
    seen = json.loads(call("models", "list", "--json").out)["generation"]
    assert f"generation {seen} serves" in call("models", "list").out
    assert call("models", "promote", "translator", "1.1.0", *WHY, "--expect", str(seen)).code == 0
    late = call("models", "promote", "translator", "1.2.0", *WHY, "--expect", str(seen))
    assert late.code == 6 and f"generation {seen + 1} serves" in late.err, late.err
    row, verdicts = recorded(tmp_path)
    assert (row.state, row.version, verdicts) == (ModelState.SUPERSEDED, "1.2.0", [])
    late = call("models", "rollback", "translator", *WHY, "--expect", str(seen))
    assert late.code == 6 and running.serving == "1.1.0"
    assert call("models", "rollback", "translator", *WHY, "--expect", str(seen + 1)).code == 0
    assert running.serving == "1.0.0"
    assert (
        call("models", "promote", "translator", "1.1.0", *WHY, "--registry", str(tmp_path), "--expect", "1").code == 2
    )


@pytest.mark.usefixtures("manifest")
def test_what_serves_and_what_is_in_memory_is_listed_and_shown(call: Call) -> None:
    said = call("models", "list")
    assert said.code == 0 and "in memory" in said.out and "not loaded" in said.out and "UNAVAILABLE" not in said.out
    shown = json.loads(call("models", "show", "translator", "--json").out)
    assert (shown["version"], shown["serves"], shown["says"]["platform"]) == ("1.0.0", True, "dictionary")
    assert "translation/1" in call("models", "show", "translator").out
    assert call("models", "show", "translator", "9.0.0").code == 2


def test_a_service_can_be_named_where_there_is_no_manifest(
    call: Call, running: Translating, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("models", "list", "--url", running.url).code == 3
    monkeypatch.setenv("RELEASE_MODELS_TOKEN", running.operator)
    said = call("models", "list", "--url", running.url, "--json")
    assert said.code == 0 and json.loads(said.out)["service"] == running.url


def test_a_service_is_switched_where_there_is_no_manifest_and_it_is_said_that_nothing_is_recorded(
    call: Call, running: Translating, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RELEASE_MODELS_TOKEN", running.operator)
    done = call("models", "promote", "translator", "1.1.0", *WHY, "--url", running.url)
    assert done.code == 0 and translated(running)[1] == "1.1.0", done.err
    assert "nothing is recorded in a ledger, and no quality gate is configured" in done.err
    assert call("models", "rollback", "translator", *WHY, "--url", running.url).code == 0
    assert running.serving == "1.0.0" and not list((tmp_path / "state").rglob("ledger.db"))


@pytest.mark.usefixtures("manifest")
def test_the_token_of_the_manifest_goes_to_its_own_service_alone(
    call: Call, running: Translating, tmp_path: Path
) -> None:
    other = running.url.replace("127.0.0.1", "localhost")
    said = call("models", "list", "--url", other)
    assert said.code == 3 and "RELEASE_MODELS_TOKEN" in said.err
    everything = b"".join(path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())
    assert running.operator.encode() not in everything


def test_collecting_keeps_what_the_service_has_in_memory(
    call: Call, running: Translating, manifest: Callable[[str], None]
) -> None:
    for minor in range(3, 7):
        running.publish(f"1.{minor}.0", stable=True)
    manifest(f', registry: "{running.registry}"')
    said = call("models", "gc", "--json")
    assert said.code == 0, said.err
    kept = {one["version"]: one["reason"] for one in json.loads(said.out)["verdicts"] if one["stays"]}
    assert kept["1.0.0"] == "in use" and "1.3.0" not in kept


def test_collecting_without_a_manifest_keeps_what_a_named_service_serves(
    call: Call, running: Translating, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RELEASE_MODELS_TOKEN", running.operator)
    for minor in range(3, 7):
        running.publish(f"1.{minor}.0", stable=True)
    where = ("--registry", str(running.registry))
    assert call("models", "gc", *where).code == 2
    another = publishing(tmp_path / "another", tmp_path / "sources")
    another("1.0.0", status="stable")
    wrong = call("models", "gc", "--url", running.url, "--registry", str(tmp_path / "another"))
    assert wrong.code == 2 and f"{running.url} serves translator 1.0.0, which is not in" in wrong.err
    said = call("models", "gc", "--json", "--url", running.url, *where)
    assert said.code == 0, said.err
    document = json.loads(said.out)
    kept = {one["version"]: one["reason"] for one in document["verdicts"] if one["stays"]}
    assert document["services"] == [running.url] and kept["1.0.0"] == "in use" and "1.3.0" not in kept
    running.stop()
    running.start()
    assert running.serving == "1.0.0"


@pytest.mark.usefixtures("manifest")
def test_a_switch_by_somebody_else_while_the_gate_asks_supersedes_this_one(
    call: Call, running: Translating, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def switch() -> None:
        assert running.host is not None
        running.host.promote({"translator": "1.2.0"}, who="bert", why="meanwhile")

    after_asking(monkeypatch, switch)
    said = call("models", "promote", "translator", "1.1.0", *WHY)
    assert said.code == 6 and running.serving == "1.2.0"
    assert recorded(tmp_path)[0].state is ModelState.SUPERSEDED


def test_from_a_fallback_one_gets_to_a_version_through_the_same_gate(
    call: Call, manifest: Callable[[str], None], running: Translating, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.stop()
    running.start(wrong_without_any=10)
    manifest("")
    said = call("models", "rollback", "translator", *WHY)
    assert said.code == 0 and "its fallback serves" in said.out + said.err
    assert call("models", "promote", "translator", "1.2.0", *WHY).code == 1
    assert call("models", "promote", "translator", "1.1.0", *WHY).code == 0
    assert translated(running) == (CASES[0][1], "1.1.0")
    _, (verdict,) = recorded(tmp_path)
    assert verdict.evidence["live"]["release"] == "translator 0.0.0-fallback"


def test_a_version_that_was_left_by_mistake_comes_back_through_the_gate(
    call: Call, manifest: Callable[[str], None], running: Translating, tmp_path: Path
) -> None:
    manifest("")
    assert call("models", "promote", "translator", "1.1.0", *WHY).code == 0
    assert call("models", "rollback", "translator", *WHY).code == 0
    refused = call("models", "promote", "translator", "1.1.0", *WHY)
    assert refused.code == 1 and "promote it with --restore, or name another" in refused.out + refused.err
    assert running.serving == "1.0.0"
    assert call("models", "promote", "translator", "1.1.0", *WHY, "--restore").code == 0
    assert translated(running) == (CASES[0][1], "1.1.0")
    _, (verdict,) = recorded(tmp_path)
    assert verdict.outcome is Outcome.PASS
    assert call("models", "promote", "translator", "1.2.0", *WHY, "--restore").code == 1  # the gate is not left out


def test_a_fallback_that_serves_has_a_row_of_its_own(
    call: Call, manifest: Callable[[str], None], running: Translating
) -> None:
    running.stop()
    running.start(wrong_without_any=10)
    manifest("")
    assert call("models", "rollback", "translator", *WHY).code == 0
    rows = json.loads(call("models", "list", "--json").out)["versions"]
    assert (rows[0]["version"], rows[0]["serves"], rows[0]["status"]) == ("0.0.0-fallback", True, "fallback")
    assert not any(row["serves"] for row in rows[1:])
    assert "0.0.0-fallback" in call("models", "show", "translator").out


@pytest.mark.usefixtures("manifest")
def test_a_signal_while_the_gate_asks_ends_it_with_nothing_changed(
    call: Call, running: Translating, tmp_path: Path
) -> None:
    running.held.clear()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    promoting = subprocess.Popen(
        [sys.executable, "-m", "release.cli.main", "models", "promote", "translator", "1.1.0", *WHY],
        cwd=tmp_path / "here",
        env={**inherited, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.asked.wait(60)
        assert recorded(tmp_path)[0].state is ModelState.RUNNING
        promoting.send_signal(signal.SIGTERM)
        running.held.set()
        _, said = promoting.communicate(timeout=60)
    finally:
        running.held.set()
        promoting.kill()
        promoting.wait()
    assert promoting.returncode == 5, said
    assert recorded(tmp_path)[0].state is ModelState.UNDONE
    assert running.serving == "1.0.0"
    awaited(lambda: state_of(call, "1.1.0") == "UNAVAILABLE")
