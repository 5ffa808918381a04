"""`release models` on a registry: what it shows, what it refuses, and what the ledger keeps of a switch."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from release.ledger.records import ModelAction, ModelState, ModelSwitchRow
from release.ledger.store import Ledger
from release.rollout import identity
from tests.cli.calling import Call
from tests.support.versions import Publish, damaged, metadata, weights

QUALITY = """\
checks:
  quality:
    cases: cases.jsonl
    request: {path: /translate, json: {text: "{source}"}}
    answer: translation
    metrics: {chrf: {floor: 30}}
"""
WHY = ("--reason", "for a test")


@pytest.fixture
def manifest(call: Call, registry: Path, tmp_path: Path) -> Callable[[str], None]:
    """Writes a release.yaml whose registry is the test's, with more in it; `call` then stands beside it."""

    def write(more: str = "") -> None:
        text = f"service: shop\ncontainer: {{port: 5000}}\nmodels: {{registry: {registry}}}\n{more}"
        (tmp_path / "here" / "release.yaml").write_text(text)

    return write


def recorded(tmp_path: Path) -> list[ModelSwitchRow]:
    with Ledger(tmp_path / "state" / "shop" / "ledger.db", readonly=True) as ledger:
        return ledger.model_switches()


# -- looking -------------------------------------------------------------------------------------------------------


def test_versions_are_listed_with_their_status_and_what_latest_means(
    call: Call, registry: Path, published: Publish
) -> None:
    published("1.0.0", status="stable")
    published("1.1.0")
    said = call("models", "list", "--registry", str(registry), "--json")
    document = json.loads(said.out)
    rows = [(one["version"], one["status"], one["latest"]) for one in document["versions"]]
    assert rows == [("1.1.0", "unstable", False), ("1.0.0", "stable", True)] and said.code == 0
    assert "1.0.0" in call("models", "list", "--registry", str(registry)).out


def test_the_manifest_names_the_registry(call: Call, manifest: Callable[[str], None], published: Publish) -> None:
    published("1.0.0", status="stable")
    manifest("")
    assert "stable, latest" in call("models", "list").out


def test_a_registry_that_nobody_named_is_asked_for(call: Call) -> None:
    said = call("models", "list")
    assert said.code == 2 and "neither a model registry nor a service is named" in said.err
    assert "--registry DIR" in said.err and "--url URL" in said.err
    said = call("models", "gc")
    assert said.code == 2 and "no model registry is named" in said.err and "--url" not in said.err


def test_a_version_is_shown_with_all_that_it_says_of_itself(call: Call, registry: Path, published: Publish) -> None:
    published("1.0.0", status="stable", training_data=["news-2024", "talks"])
    said = call("models", "show", "translator", "--registry", str(registry))
    assert said.code == 0
    for text in ("stable, latest", "news-2024, talks", "sentencepiece/1", "vocab/source.spm", "by anna: stable for a"):
        assert text in said.out
    document = json.loads(call("models", "show", "translator", "v1.0.0", "--registry", str(registry), "--json").out)
    assert document["says"]["metrics"] == {"bleu": 17.8} and document["log"][-1]["status"] == "stable"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("show", "nobody"), 2, "there is translator"),
        (("show", "translator", "9.0.0"), 2, "there is 1.0.0"),
        (("show", "translator"), 1, "no version of translator is stable"),
        (("list", "--registry", "elsewhere"), 3, "no registry at"),
        (("list", "--url", "ftp://models"), 2, "is no URL"),
        (("list", "--url", "http://127.0.0.1:1", "--registry", "elsewhere"), 2, "not both"),
        (("gc", "--pin", "translator"), 2, "is no COMPONENT=VERSION"),
        (("gc", "--pin", "translator=9.0.0", "--no-service"), 2, "no version 9.0.0"),
        (("publish", "nothing-here"), 2, "is no folder"),
        (("publish", ".", "--metadata", "nothing.yaml"), 2, "cannot be read"),
    ],
)
def test_what_goes_wrong_has_an_exit_code_and_a_way_out(
    call: Call, manifest: Callable[[str], None], published: Publish, arguments: tuple[str, ...], code: int, said: str
) -> None:
    published("1.0.0")
    manifest("")
    found = call("models", *arguments)
    assert (found.code, said in found.err) == (code, True), found.err
    document = json.loads(call("models", *arguments, "--json").out)
    assert document["ok"] is False and document["error"]["exit_code"] == code


# -- publishing ----------------------------------------------------------------------------------------------------


def test_a_folder_is_published_with_a_metadata_file(call: Call, registry: Path, tmp_path: Path) -> None:
    weights(tmp_path / "here" / "out", "weights")
    said = metadata()
    del said["note"], said["component"], said["version"]
    (tmp_path / "here" / "model.yaml").write_text(yaml.safe_dump(said))
    arguments = ("publish", "out", "translator", "1.0.0", "--metadata", "model.yaml", "--note", "the first")
    done = call("models", *arguments, "--registry", str(registry), "--json")
    assert done.code == 0 and json.loads(done.out)["data"]["fresh"] is True
    again = call("models", *arguments, "--registry", str(registry), "--json")
    assert again.code == 0 and json.loads(again.out)["data"]["fresh"] is False


def test_what_lacks_is_named_and_nothing_is_published(call: Call, registry: Path, tmp_path: Path) -> None:
    weights(tmp_path / "here" / "out", "weights")
    said = call("models", "publish", "out", "translator", "1.0.0", "--registry", str(registry))
    assert said.code == 1 and "\n  note: what changed" in said.err and "\n  training_data: " in said.err
    assert "--metadata" in said.err
    assert not (registry / "translator" / "1.0.0").exists()


def test_a_version_of_one_registry_is_published_to_another_as_it_is(
    call: Call, registry: Path, tmp_path: Path, published: Publish
) -> None:
    there = published("1.0.0").path
    other = tmp_path / "other"
    assert call("models", "publish", str(there), "--registry", str(other)).code == 0
    shown = [
        json.loads(call("models", "show", "translator", "1.0.0", "--registry", str(where), "--json").out)
        for where in (registry, other)
    ]
    assert shown[0]["says"] == shown[1]["says"]


# -- switching -----------------------------------------------------------------------------------------------------


def test_a_promotion_without_a_benchmark_set_is_recorded_with_who_what_and_why(
    call: Call, manifest: Callable[[str], None], published: Publish, tmp_path: Path, registry: Path
) -> None:
    published("1.0.0", status="stable")
    published("1.1.0")
    manifest("")
    done = call("models", "promote", "translator", "1.1.0", *WHY, "--json")
    assert done.code == 0 and json.loads(done.out)["outcome"] == "marked"
    (row,) = recorded(tmp_path)
    assert (row.action, row.component, row.version) == (ModelAction.PROMOTE, "translator", "1.1.0")
    assert (row.before, row.after) == ("1.0.0", "1.1.0")
    assert (row.state, row.reason, row.place) == (ModelState.MARKED, "for a test", str(registry))
    assert row.actor == identity.actor() and row.exit_code == 0
    listed = json.loads(call("history", "--json").out)["model_switches"]
    assert [(one["id"], one["verdicts"][0]["outcome"]) for one in listed] == [(row.id, "skipped")]
    pictured = call("history").out
    assert "model promote" in pictured and "translator 1.1.0" in pictured and "for a test" in pictured


def test_with_a_benchmark_set_and_nothing_that_runs_it_is_no_data_and_refused(
    call: Call, manifest: Callable[[str], None], published: Publish, tmp_path: Path
) -> None:
    published("1.1.0")
    manifest(QUALITY)
    said = call("models", "promote", "translator", "1.1.0", *WHY)
    assert said.code == 1 and "nothing that runs was asked" in said.err
    assert "--url" in said.err and "--without-gate" in said.err
    (row,) = recorded(tmp_path)
    assert (row.state, row.version, row.after, row.exit_code) == (ModelState.REFUSED, "1.1.0", None, 1)
    listed = json.loads(call("history", "--json").out)["model_switches"]
    assert listed[0]["verdicts"][0]["outcome"] == "no data"
    assert json.loads(call("models", "list", "--json").out)["versions"][0]["status"] == "unstable"


def test_leaving_the_gate_out_takes_a_reason_that_the_ledger_keeps(
    call: Call, manifest: Callable[[str], None], published: Publish, tmp_path: Path
) -> None:
    published("1.1.0")
    manifest(QUALITY)
    assert call("models", "promote", "translator", "1.1.0", *WHY, "--without-gate", " ").code == 2
    assert call("models", "promote", "translator", "1.1.0", *WHY, "--without-gate", "compared by hand").code == 0
    (row,) = recorded(tmp_path)
    with Ledger(tmp_path / "state" / "shop" / "ledger.db", readonly=True) as ledger:
        (note,) = ledger.notes(deployment=row.id)
        (verdict,) = ledger.verdicts(row.id)
    assert (note.kind, note.text) == ("gate left out", "compared by hand")
    assert "compared by hand" in verdict.reason


def test_a_rollback_is_recorded_and_asks_no_gate(
    call: Call, manifest: Callable[[str], None], published: Publish, tmp_path: Path
) -> None:
    published("1.0.0", status="stable")
    published("1.1.0", status="stable")
    manifest(QUALITY)
    assert call("models", "rollback", "translator", *WHY).code == 0
    (row,) = recorded(tmp_path)
    assert (row.action, row.before, row.after, row.state) == (
        ModelAction.ROLLBACK,
        "1.1.0",
        "1.0.0",
        ModelState.MARKED,
    )
    refused = call("models", "rollback", "translator", *WHY)
    assert refused.code == 1 and "is the only one" in refused.err
    assert [row.state for row in recorded(tmp_path)] == [ModelState.REFUSED, ModelState.MARKED]


def test_a_report_counts_model_switches_also_where_nothing_was_deployed(
    call: Call, manifest: Callable[[str], None], published: Publish
) -> None:
    published("1.0.0", status="stable")
    published("1.1.0")
    manifest("")
    assert call("models", "promote", "translator", "1.1.0", *WHY).code == 0
    assert call("models", "rollback", "translator", *WHY).code == 0
    assert call("models", "rollback", "translator", *WHY).code == 1
    text = call("report", "--models")
    assert text.code == 0
    assert "1 promotion (1 marked); 2 rollbacks (1 marked, 1 refused); from promotion to rollback: " in text.out
    told = json.loads(call("report", "--models", "--json").out)["model_switches"]
    assert told["outcomes"] == {"promote": {"marked": 1}, "rollback": {"marked": 1, "refused": 1}}
    (seconds,) = told["promoted_to_rollback_seconds"]
    assert seconds >= 0
    assert call("report", "--models", "v1.0.0").code == 2
    nothing = call("report")
    assert nothing.code != 0 and "--models" in nothing.err


def test_a_rollback_does_not_wait_for_a_ledger_that_cannot_be_written(
    call: Call, manifest: Callable[[str], None], published: Publish, tmp_path: Path
) -> None:
    published("1.0.0", status="stable")
    published("1.1.0", status="stable")
    manifest("")
    assert call("models", "promote", "translator", "1.1.0", *WHY).code == 0
    writer = sqlite3.connect(tmp_path / "state" / "shop" / "ledger.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    try:
        said = call("models", "rollback", "translator", *WHY)
        assert call("models", "promote", "translator", "1.1.0", *WHY).code == 3
    finally:
        writer.close()
    assert said.code == 0 and "the ledger could not record" in said.err
    assert "stable, latest" in call("models", "show", "translator", "1.0.0").out
    assert "rejected" in call("models", "show", "translator", "1.1.0").out


def test_what_is_so_already_is_no_switch(
    call: Call, manifest: Callable[[str], None], published: Publish, tmp_path: Path
) -> None:
    published("1.0.0", status="stable")
    manifest(QUALITY)
    done = call("models", "promote", "translator", "1.0.0", *WHY, "--json")
    assert done.code == 0 and json.loads(done.out)["outcome"] == "unchanged"
    assert recorded(tmp_path)[0].state is ModelState.UNCHANGED


def test_within_a_freeze_window_only_a_reason_promotes_and_a_rollback_needs_none(
    call: Call, manifest: Callable[[str], None], published: Publish, tmp_path: Path
) -> None:
    published("1.0.0", status="stable")
    published("1.1.0")
    manifest('freeze: [{from: "00:00", to: "24:00", reason: the fair}]')
    said = call("models", "promote", "translator", "1.1.0", *WHY)
    assert said.code == 1 and "the fair" in said.err
    assert call("models", "promote", "translator", "1.1.0", *WHY, "--ignore-freeze", "it is broken").code == 0
    assert call("models", "rollback", "translator", *WHY).code == 0


def test_where_no_service_is_known_a_registry_that_is_named_is_switched_and_it_is_said_that_nothing_is_recorded(
    call: Call, registry: Path, published: Publish, tmp_path: Path
) -> None:
    published("1.0.0", status="stable")
    published("1.1.0")
    there = ("--registry", str(registry))
    done = call("models", "promote", "translator", "1.1.0", *WHY, *there, "--json")
    assert done.code == 0 and json.loads(done.out)["outcome"] == "marked", done.err
    assert "nothing is recorded in a ledger, and no quality gate is configured" in done.err
    assert json.loads(done.out)["data"]["id"] is None
    back = call("models", "rollback", "translator", *WHY, *there)
    assert back.code == 0 and "nothing is recorded" in back.err, back.err
    rows = json.loads(call("models", "list", *there, "--json").out)["versions"]
    assert {one["version"]: one["status"] for one in rows} == {"1.0.0": "stable", "1.1.0": "rejected"}
    refused = call("models", "rollback", "translator", *WHY, *there, "--json")
    assert refused.code == 1 and "model_switch" not in json.loads(refused.out)["error"]["context"]
    assert not list((tmp_path / "state").rglob("ledger.db"))


def test_where_no_service_is_known_a_gate_that_is_asked_for_is_not_left_out(
    call: Call, registry: Path, published: Publish, tmp_path: Path
) -> None:
    published("1.0.0")
    (tmp_path / "here" / "cases.jsonl").write_text("")
    asked = ("--registry", str(registry), "--cases", "cases.jsonl")
    said = call("models", "promote", "translator", "1.0.0", *WHY, *asked)
    assert said.code == 2 and "nothing says how the service is asked" in said.err
    assert "unstable" in call("models", "list", "--registry", str(registry)).out


def test_where_neither_a_service_nor_a_registry_is_known_it_is_said_what_to_name(call: Call) -> None:
    for arguments in (("promote", "translator", "1.0.0"), ("rollback", "translator")):
        said = call("models", *arguments, *WHY)
        assert said.code == 2 and "--registry DIR or --url URL" in said.err and "--manifest FILE" in said.err


def test_a_service_that_is_named_and_has_no_ledger_here_is_an_error(
    call: Call, registry: Path, published: Publish
) -> None:
    published("1.0.0")
    said = call("models", "promote", "translator", "1.0.0", *WHY, "--registry", str(registry), "--service", "shop")
    assert said.code == 2 and "no service shop has state" in said.err
    assert "unstable" in call("models", "list", "--registry", str(registry)).out


@pytest.mark.parametrize("command", [("publish", "out", "translator", "1.0.0"), ("export", "translator")])
def test_what_works_on_a_registry_alone_says_so_to_who_names_a_service(call: Call, command: tuple[str, ...]) -> None:
    said = call("models", *command, "--url", "http://127.0.0.1:5000")
    assert said.code == 2 and f"`release models {command[0]}` works on a registry" in said.err


def test_latest_is_verified_as_what_it_means(call: Call, registry: Path, published: Publish) -> None:
    published("1.0.0", status="stable")
    published("1.1.0")
    said = call("models", "verify", "translator", "latest", "--registry", str(registry))
    assert said.code == 0 and "✓ translator 1.0.0" in said.out and "1.1.0" not in said.out


def test_a_switch_without_a_reason_is_a_wrong_call(call: Call, manifest: Callable[[str], None]) -> None:
    manifest("")
    for arguments in (("promote", "translator", "1.0.0"), ("rollback", "translator")):
        said = call("models", *arguments)
        assert said.code == 2 and "--reason" in said.err


def test_a_promotion_waits_for_no_deployment_but_says_who_holds_the_lock(
    call: Call, manifest: Callable[[str], None], published: Publish, tmp_path: Path
) -> None:
    from release.ledger.locks import DeploymentLock

    published("1.0.0", status="stable")
    published("1.1.0", status="stable")
    manifest("")
    assert call("models", "promote", "translator", "1.1.0", *WHY).code == 0
    lock = DeploymentLock(tmp_path / "state" / "shop" / "locks" / "deployment.lock")
    code = (
        "import sys; from pathlib import Path; from release.ledger.locks import DeploymentLock\n"
        "with DeploymentLock(Path(sys.argv[1])).holding(deployment='d-1'):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(lock.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        assert call("models", "promote", "translator", "1.0.0", *WHY).code == 4
        assert call("models", "rollback", "translator", *WHY).code == 0
    finally:
        holder.communicate("", timeout=60)


def test_what_a_killed_promotion_left_is_ended_by_the_next(
    call: Call, manifest: Callable[[str], None], published: Publish, tmp_path: Path
) -> None:
    published("1.0.0")
    published("1.1.0")
    manifest("")
    assert call("models", "promote", "translator", "1.0.0", *WHY).code == 0
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with Ledger(tmp_path / "state" / "shop" / "ledger.db") as ledger:
        (first,) = ledger.model_switches()
        lost = replace(first, id="lost", state=ModelState.RUNNING, pid=gone.pid, ended_at=None, exit_code=None)
        ledger.begin_model_switch(lost)
        ledger.begin_model_switch(replace(lost, id="alive", pid=os.getppid()))
    assert call("models", "promote", "translator", "1.1.0", *WHY).code == 0
    states = {row.id: row.state for row in recorded(tmp_path)}
    assert (states["lost"], states["alive"]) == (ModelState.UNDONE, ModelState.RUNNING)


# -- keeping house -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("full", [(), ("--full",)])
def test_damage_is_found_named_and_an_exit_code(
    call: Call, registry: Path, published: Publish, full: tuple[str, ...]
) -> None:
    published("1.0.0")
    damaged(published("1.1.0").path)
    said = call("models", "verify", "--registry", str(registry), *full)
    assert said.code == 1 and "✗ translator 1.1.0" in said.out and "model.safetensors was changed" in said.out
    assert call("models", "verify", "translator", "1.0.0", "--registry", str(registry), *full).code == 0
    document = json.loads(call("models", "verify", "--registry", str(registry), "--json", *full).out)
    assert document["ok"] is False
    assert [bool(one["problems"]) for one in document["versions"]] == [True, False]


def test_what_a_rollback_left_is_collected(call: Call, manifest: Callable[[str], None], published: Publish) -> None:
    published("1.0.0", status="stable")
    published("1.1.0")
    manifest("")
    assert call("models", "promote", "translator", "1.1.0", *WHY).code == 0
    assert call("models", "rollback", "translator", *WHY).code == 0
    done = json.loads(call("models", "gc", "--no-service", "--json").out)
    gone = [one["version"] for one in done["verdicts"] if not one["stays"]]
    assert gone == ["1.1.0"]


def test_what_a_publisher_left_on_an_object_store_is_shown_first_and_swept_then(call: Call, tmp_path: Path) -> None:
    import fsspec

    where = f"memory://{uuid.uuid4().hex}"
    source = weights(tmp_path / "source", "weights")
    (tmp_path / "described.yaml").write_text(yaml.safe_dump(metadata()))
    published = call(
        "models", "publish", str(source), "--metadata", str(tmp_path / "described.yaml"), "--registry", where
    )
    assert published.code == 0, published
    store = fsspec.filesystem("memory")
    left = where.removeprefix("memory:/") + "/translator/1.1.0/content/abc"
    store.pipe_file(left, b"a half")
    assert "nothing to remove" in call("models", "gc", "--dry-run", "--registry", where).out
    store.store[left].created -= timedelta(days=2)
    said = "translator/1.1.0: brought up in part and never published, 1 file,"
    assert f"would go  {said}" in call("models", "gc", "--dry-run", "--registry", where).out
    assert store.exists(left)
    told = call("models", "gc", "--registry", where, "--no-service").out
    assert f"swept    {said}" in told and "nothing to remove" not in told
    assert not store.exists(left)


def test_collecting_is_tried_first_and_keeps_what_was_switched_to(
    call: Call, manifest: Callable[[str], None], published: Publish
) -> None:
    for minor in range(6):
        published(f"1.{minor}.0", status="stable" if minor else "unstable")
    manifest("")
    assert call("models", "promote", "translator", "1.0.0", *WHY).code == 0
    tried = json.loads(call("models", "gc", "--dry-run", "--json").out)
    gone = [one["version"] for one in tried["verdicts"] if not one["stays"]]
    assert gone == ["1.2.0", "1.1.0"]
    assert len(json.loads(call("models", "list", "--json").out)["versions"]) == 6
    said = call("models", "gc", "--pin", "translator=v1.1.0", "--no-service")
    assert said.code == 0 and "removed  translator 1.2.0" in said.out
    left = [one["version"] for one in json.loads(call("models", "list", "--json").out)["versions"]]
    assert left == ["1.5.0", "1.4.0", "1.3.0", "1.1.0", "1.0.0"]


def test_without_a_service_asked_nothing_is_removed_and_both_ways_on_are_named(
    call: Call, registry: Path, published: Publish
) -> None:
    for minor in range(5):
        published(f"1.{minor}.0", status="stable")
    where = ("--registry", str(registry))
    said = call("models", "gc", *where)
    assert said.code == 2 and "nothing was removed: no service was asked which versions of" in said.err
    assert "--url URL" in said.err and "--no-service" in said.err
    tried = call("models", "gc", "--dry-run", "--json", *where)
    assert [one["version"] for one in json.loads(tried.out)["verdicts"] if not one["stays"]] == ["1.1.0", "1.0.0"]
    assert tried.code == 0 and "no service was asked" in tried.err
    assert len(json.loads(call("models", "list", "--json", *where).out)["versions"]) == 5
    both = call("models", "gc", "--no-service", "--url", "http://127.0.0.1:1", *where)
    assert both.code == 2 and "is a service" in both.err
    silent = call("models", "gc", "--url", "http://127.0.0.1:1", *where)
    assert silent.code == 3 and len(json.loads(call("models", "list", "--json", *where).out)["versions"]) == 5
    assert "removed  translator 1.0.0" in call("models", "gc", "--no-service", *where).out
