"""`release models` where versions work only together: a translator and its vocabulary are promoted as one set."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from modelhost.registry.base import Status
from modelhost.registry.directory import DirectoryRegistry
from release.ledger.records import ModelState, ModelSwitchRow
from release.ledger.store import Ledger
from release.operations.models import SET, switched_to
from release.verdict import Outcome
from tests.cli.calling import Call
from tests.cli.gated import after_asking, gate
from tests.support.translating import CASES, Translating
from tests.support.versions import Publish, damaged, metadata, weights

WHY = ("--reason", "for a test")
OLD = {"translator": "1.0.0", "vocabulary": "1.0.0"}
NEW = {"translator": "1.1.0", "vocabulary": "1.1.0"}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Translating]:
    """Pairs: 1.0.0 serves and gets two sentences wrong; of 1.1.0 both are good; 1.2.0 has lost a word of its
    vocabulary, which is in every sentence."""
    service = Translating(tmp_path / "service", paired=True)
    service.publish_pair("1.0.0", wrong=2, stable=True)
    service.publish_pair("1.1.0")
    service.publish_pair("1.2.0", lost="the")
    service.start()
    yield service
    service.stop()


@pytest.fixture
def manifest(running: Translating, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    monkeypatch.setenv("OPERATOR", running.operator)
    gate(here, running.url, f', registry: "{running.registry}"')


@pytest.fixture
def last(tmp_path: Path) -> Callable[[], tuple[ModelSwitchRow, Ledger]]:
    """The last switch, in a ledger that is open."""
    opened = []

    def look() -> tuple[ModelSwitchRow, Ledger]:
        opened.append(Ledger(tmp_path / "state" / "shop" / "ledger.db", readonly=True))
        return opened[-1].model_switches(limit=1)[0], opened[-1]

    return look


Last = Callable[[], tuple[ModelSwitchRow, Ledger]]


@pytest.mark.usefixtures("manifest")
def test_a_version_with_a_new_mate_is_refused_before_the_gate_and_the_hint_names_the_command(
    call: Call, running: Translating, last: Last
) -> None:
    said = call("models", "promote", "translator", "1.1.0", *WHY)
    assert said.code == 1 and "translator 1.1.0 works with vocabulary 1.1.0, not with vocabulary 1.0.0" in said.err
    assert "`release models promote translator 1.1.0 --together` brings vocabulary 1.1.0" in said.err
    row, ledger = last()
    assert (row.state, ledger.verdicts(row.id), running.versions) == (ModelState.REFUSED, [], OLD)


@pytest.mark.usefixtures("manifest")
def test_together_the_mates_that_it_names_pass_the_gate_with_it_and_serve_at_once(
    call: Call, running: Translating, last: Last
) -> None:
    done = call("models", "promote", "translator", "1.1.0", "--together", *WHY, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert (told["outcome"], told["data"]["others"]) == (
        "switched",
        {"vocabulary": {"before": "1.0.0", "after": "1.1.0"}},
    )
    assert running.versions == NEW and running.host is not None
    assert {running.host.registry.find(*each).status for each in NEW.items()} == {Status.STABLE}
    (record,) = [each for each in running.host.serving.history.switches() if each.before]
    assert (record.before, record.after) == (OLD, NEW)
    row, ledger = last()
    (verdict,), (note,) = ledger.verdicts(row.id), ledger.notes(SET, row.id)
    assert verdict.outcome is Outcome.PASS
    assert verdict.evidence["live"]["release"] == "translator 1.0.0, vocabulary 1.0.0"
    assert note.data == {"versions": NEW, "before": OLD}
    assert (row.component, row.before, row.after) == ("translator", "1.0.0", "1.1.0")
    assert {*OLD.items(), *NEW.items()} == set(switched_to(ledger))
    (listed,) = json.loads(call("history", "--json").out)["model_switches"]
    assert listed["set"] == {"versions": NEW, "before": OLD}
    again = call("models", "promote", "translator", "1.1.0", "--together", *WHY, "--json")
    assert again.code == 0 and json.loads(again.out)["outcome"] == "unchanged"


@pytest.mark.usefixtures("manifest")
def test_a_set_that_is_worse_by_its_mate_is_refused_and_leaves_memory_again(
    call: Call, running: Translating, last: Last
) -> None:
    said = call("models", "promote", "translator", "1.2.0", "--together", *WHY)
    assert said.code == 1 and "quality refused it" in said.err
    assert running.versions == OLD
    row, ledger = last()
    (verdict,) = ledger.verdicts(row.id)
    assert verdict.outcome is Outcome.FAIL and verdict.evidence["unanswered"] == 0
    source, reference = CASES[5]
    answer = requests.post(f"{running.url}/translate", json={"text": source}, timeout=30)
    assert answer.json()["translation"] == reference


@pytest.mark.usefixtures("manifest")
def test_versions_that_are_named_by_with_go_as_one_set_and_back_together(
    call: Call, running: Translating, last: Last
) -> None:
    wrong = call("models", "promote", "translator", "1.1.0", "--with", "vocabulary=1.2.0", *WHY)
    assert wrong.code == 1 and "not with vocabulary 1.2.0" in wrong.err
    done = call("models", "promote", "translator", "1.1.0", "--with", "vocabulary=v1.1.0", *WHY)
    assert done.code == 0 and running.versions == NEW, done.err
    assert "translator 1.1.0 and vocabulary 1.1.0 serve" in done.out + done.err
    back = call("models", "rollback", "translator", "--together", *WHY)
    assert back.code == 0 and running.versions == OLD, back.err
    row, ledger = last()
    assert ledger.notes(SET, row.id)[0].data == {"versions": OLD, "before": NEW}
    for refused in (("--with", "vocabulary"), ("--with", "translator=1.1.0"), ("--with", "nobody=1.1.0")):
        assert call("models", "promote", "translator", "1.1.0", *refused, *WHY).code == 2
    assert call("models", "promote", "translator", "1.1.0", *("--with", "vocabulary=1.1.0") * 2, *WHY).code == 2


@pytest.mark.usefixtures("manifest")
def test_a_set_goes_back_by_its_name_and_the_ledger_has_what_became_of_each(
    call: Call, running: Translating, last: Last
) -> None:
    assert call("models", "promote", "translator", "1.1.0", "--together", *WHY).code == 0
    alone = call("models", "rollback", "translator", *WHY)
    assert alone.code == 1 and running.versions == NEW
    assert "`release models rollback translator --together` takes these back as one: translator 1.1.0" in alone.err
    never = call("models", "rollback", "translator", "--to", "1.2.0", *WHY)
    assert never.code == 1 and "translator 1.2.0 is unstable and never served here" in never.err
    assert "promote it" in never.err and running.versions == NEW
    back = call("models", "rollback", "translation", *WHY, "--json")
    assert back.code == 0 and running.versions == OLD, back.err
    told = json.loads(back.out)
    assert told["outcome"] == "switched"
    assert told["text"] == (
        "translator 1.0.0 and vocabulary 1.0.0 serve again; translator 1.1.0 and vocabulary 1.1.0 are rejected"
    )
    assert told["data"]["others"] == {name: {"before": "1.1.0", "after": "1.0.0"} for name in OLD}
    row, ledger = last()
    assert (row.component, row.state) == ("translation", ModelState.SWITCHED)
    assert ledger.notes(SET, row.id)[0].data == {"versions": OLD, "before": NEW}
    assert {*OLD.items()} <= set(switched_to(ledger))


@pytest.mark.usefixtures("manifest")
def test_a_set_is_promoted_by_its_name_through_the_gate_and_goes_back_to_a_named_version(
    call: Call, running: Translating, last: Last
) -> None:
    worse = call("models", "promote", "translation", "1.2.0", *WHY)
    assert worse.code == 1 and "quality refused it" in worse.err and running.versions == OLD
    done = call("models", "promote", "translation", "v1.1.0", *WHY, "--json")
    assert done.code == 0 and running.versions == NEW, done.err
    row, ledger = last()
    assert (row.component, row.version, row.before, row.after) == ("translation", "1.1.0", "1.0.0", "1.1.0")
    assert row.state is ModelState.SWITCHED
    assert ledger.notes(SET, row.id)[0].data == {"versions": NEW, "before": OLD}
    (verdict,) = ledger.verdicts(row.id)
    assert verdict.outcome is Outcome.PASS and "vocabulary 1.0.0" in verdict.evidence["live"]["release"]
    again = call("models", "promote", "translation", "1.1.0", *WHY, "--json")
    assert again.code == 0 and json.loads(again.out)["outcome"] == "unchanged"
    twice = call("models", "promote", "translation", "1.1.0", "--with", "translator=1.1.0", *WHY)
    assert twice.code == 2 and "translator is named twice" in twice.err
    back = call("models", "rollback", "translation", "--to", "1.0.0", *WHY)
    assert back.code == 0 and running.versions == OLD, back.err
    assert {*OLD.items()} <= {*switched_to(last()[1])}
    unknown = call("models", "promote", "nobody", "1.1.0", *WHY)
    assert unknown.code == 2 and "and the set translation" in unknown.err


@pytest.mark.usefixtures("manifest")
def test_a_mate_that_was_rejected_is_named_and_comes_back_with_restore(call: Call, running: Translating) -> None:
    assert running.host is not None
    for name, version in NEW.items():
        running.host.registry.mark(name, version, Status.REJECTED, "bert", "by mistake")
    said = call("models", "promote", "translator", "1.1.0", "--together", *WHY)
    assert said.code == 1 and "vocabulary 1.1.0, which is rejected" in said.err
    assert "--with vocabulary=1.1.0 --restore" in said.err
    done = call("models", "promote", "translator", "1.1.0", "--with", "vocabulary=1.1.0", "--restore", *WHY)
    assert done.code == 0 and running.versions == NEW, done.err


@pytest.mark.usefixtures("manifest")
def test_a_mate_alone_is_refused_and_the_hint_names_who_works_with_it(call: Call, running: Translating) -> None:
    said = call("models", "promote", "vocabulary", "1.1.0", *WHY)
    assert said.code == 1 and running.versions == OLD
    assert "release models promote vocabulary 1.1.0 --with translator=1.1.0" in said.err


@pytest.mark.usefixtures("manifest")
def test_a_mate_of_the_set_that_changes_while_the_gate_asks_supersedes_the_promotion(
    call: Call, running: Translating, last: Last, monkeypatch: pytest.MonkeyPatch
) -> None:
    def switch() -> None:
        assert running.host is not None
        running.host.promote({"translation": "1.2.0"}, who="bert", why="meanwhile")

    after_asking(monkeypatch, switch)
    said = call("models", "promote", "translator", "1.1.0", "--together", *WHY)
    assert said.code == 6 and running.versions["vocabulary"] == "1.2.0"
    assert last()[0].state is ModelState.SUPERSEDED


# -- a registry, where nothing runs ----------------------------------------------------------------------------------


@pytest.fixture
def nothing_runs(call: Call, tmp_path: Path) -> None:
    (tmp_path / "here" / "release.yaml").write_text("service: shop\ncontainer: {port: 5000}\n")


def pair(published: Publish, version: str, status: str = "unstable") -> None:
    digest = published(version, "vocabulary", status).info.digest
    published(version, "translator", status, mates={"vocabulary": digest})


@pytest.mark.usefixtures("nothing_runs")
def test_in_a_registry_a_set_is_marked_as_one(call: Call, published: Publish, registry: Path) -> None:
    pair(published, "1.0.0", "stable")
    pair(published, "1.1.0")
    there = ("--registry", str(registry))
    done = call("models", "promote", "translator", "1.1.0", "--together", *WHY, *there)
    assert done.code == 0, done.err
    assert "translator 1.1.0 is stable, and `latest` means it" in done.out + done.err
    assert "vocabulary 1.1.0 is stable, and `latest` means it" in done.out + done.err
    wrong = call("models", "promote", "translator", "1.1.0", "--with", "vocabulary=1.0.0", *WHY, *there)
    assert wrong.code == 0 and "already" in wrong.out + wrong.err  # both are stable: nothing is promoted


@pytest.mark.usefixtures("nothing_runs")
def test_in_a_registry_a_damaged_mate_lets_nothing_be_marked(call: Call, published: Publish, registry: Path) -> None:
    pair(published, "1.0.0", "stable")
    pair(published, "1.1.0")
    damaged(registry / "vocabulary" / "1.1.0")
    said = call("models", "promote", "translator", "1.1.0", "--together", *WHY, "--registry", str(registry))
    assert said.code == 1 and "not as it was published" in said.err
    there = DirectoryRegistry(registry)
    assert {there.find(name, "1.1.0").status for name in NEW} == {Status.UNSTABLE}


@pytest.mark.usefixtures("nothing_runs")
def test_in_a_registry_what_could_be_marked_is_taken_back_where_its_set_could_not(
    call: Call, published: Publish, registry: Path
) -> None:
    pair(published, "1.0.0", "stable")
    pair(published, "1.1.0")
    log = next((registry / "translator").glob("*.jsonl"))
    log.symlink_to(log.rename(log.with_suffix(".kept")))  # it can be read, and not be written: links are not followed
    said = call("models", "promote", "translator", "1.1.0", "--together", *WHY, "--registry", str(registry))
    assert said.code == 3 and "vocabulary 1.1.0 is unstable again" in said.err, said.err
    there = DirectoryRegistry(registry)
    assert {there.find(name, "1.1.0").status for name in NEW} == {Status.UNSTABLE}
    assert [change.status for change in there.log("vocabulary")][-2:] == [Status.STABLE, Status.UNSTABLE]


def test_a_mate_is_shown_by_its_number_and_its_digest(call: Call, published: Publish, registry: Path) -> None:
    pair(published, "1.0.0")
    digest = DirectoryRegistry(registry).find("vocabulary", "1.0.0").info.digest
    there = ("models", "show", "translator", "1.0.0", "--registry", str(registry))
    assert f"vocabulary 1.0.0 ({digest})" in call(*there).out
    shown = json.loads(call(*there, "--json").out)
    assert shown["mates"] == {"vocabulary": digest} and shown["mate_versions"] == {"vocabulary": ["1.0.0"]}
    nobody = "sha256:" + "0" * 64
    published("2.0.0", "translator", mates={"vocabulary": nobody})
    assert f"vocabulary of no version here ({nobody})" in call(*there[:3], "2.0.0", *there[4:]).out


@pytest.mark.usefixtures("manifest")
def test_a_service_shows_a_mate_by_its_number_too(call: Call, running: Translating) -> None:
    digest = DirectoryRegistry(running.registry).find("vocabulary", "1.0.0").info.digest
    assert f"vocabulary 1.0.0 ({digest})" in call("models", "show", "translator").out
    assert json.loads(call("models", "show", "translator", "--json").out)["mate_versions"] == {"vocabulary": ["1.0.0"]}


def test_a_mate_is_published_by_its_number_and_what_is_none_burns_no_number(
    call: Call, published: Publish, registry: Path, tmp_path: Path
) -> None:
    published("1.0.0", "vocabulary")
    weights(tmp_path / "here" / "out", "weights")
    there = ("--metadata", "model.yaml", "--registry", str(registry))
    model = tmp_path / "here" / "model.yaml"
    model.write_text(json.dumps(metadata(mates={"vocabulary": "2.0.0"})))
    said = call("models", "publish", "out", "translator", "1.0.0", *there)
    assert said.code == 1 and "nor a version of vocabulary in this registry, which has 1.0.0" in said.err
    model.write_text(json.dumps(metadata(mates={"vocabulary": "1.0.0"})))
    assert call("models", "publish", "out", "translator", "1.0.0", *there).code == 0
    assert "vocabulary 1.0.0 (sha256:" in call("models", "show", "translator", "1.0.0", *there[2:]).out


@pytest.mark.usefixtures("nothing_runs")
def test_in_a_registry_there_are_no_sets_to_name(call: Call, published: Publish, registry: Path) -> None:
    pair(published, "1.0.0")
    for arguments in (("promote", "translation", "1.0.0"), ("rollback", "translation")):
        said = call("models", *arguments, *WHY, "--registry", str(registry))
        assert said.code == 2 and "there is translator, vocabulary; sets have their names from the service" in said.err


@pytest.mark.usefixtures("nothing_runs")
def test_in_a_registry_a_version_whose_mate_is_not_stable_is_not_marked_alone(
    call: Call, published: Publish, registry: Path
) -> None:
    pair(published, "1.0.0")
    there = ("--registry", str(registry))
    said = call("models", "promote", "translator", "1.0.0", *WHY, *there)
    assert said.code == 1 and "vocabulary 1.0.0, which is not stable" in said.err
    assert "`release models promote translator 1.0.0 --with vocabulary=1.0.0`" in said.err
    assert DirectoryRegistry(registry).find("translator", "1.0.0").status is Status.UNSTABLE
    assert call("models", "promote", "translator", "1.0.0", "--with", "vocabulary=1.0.0", *WHY, *there).code == 0
