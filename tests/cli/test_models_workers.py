"""`release models promote` on a service of two processes: the gate's requests reach either, and both can answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from release.ledger.store import Ledger
from release.verdict import Outcome
from tests.cli.calling import Call
from tests.cli.gated import gate
from tests.support.workers import Workers

WHY = ("--reason", "for a test")


@pytest.fixture
def workers(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    """1.1.0 answers as 1.0.0 does, which serves; 1.2.0 gets every second sentence wrong."""
    workers = Workers(tmp_path / "service")
    workers.service.publish("1.0.0", stable=True)
    workers.service.publish("1.1.0")
    workers.service.publish("1.2.0", wrong=14)
    here = tmp_path / "here"
    monkeypatch.setenv("OPERATOR", workers.service.operator)
    gate(here, workers.url)
    try:
        workers.start()
        yield workers
    finally:
        workers.stop()


def test_a_version_that_answers_as_well_passes_at_the_first_attempt_and_serves_everywhere(
    call: Call, workers: Workers, tmp_path: Path
) -> None:
    said = call("models", "promote", "translator", "1.1.0", "--url", workers.url, *WHY)
    assert said.code == 0, said.err
    assert list(workers.asked_by_name("1.1.0").values()) == [{200}, {200}]
    assert workers.held() == [], "it serves, and is held no longer"
    with Ledger(tmp_path / "state" / "shop" / "ledger.db", readonly=True) as ledger:
        (verdict,) = ledger.verdicts(ledger.model_switches(limit=1)[0].id)
    assert verdict.outcome is Outcome.PASS, verdict.reason


def test_a_worse_version_is_refused_for_what_it_answers_and_no_process_keeps_it(call: Call, workers: Workers) -> None:
    said = call("models", "promote", "translator", "1.2.0", "--url", workers.url, *WHY)
    assert said.code == 1 and "quality refused it" in said.err and "unanswered" not in said.err
    assert workers.held() == []
    workers.until(lambda: list(workers.asked_by_name("1.2.0").values()) == [{404}, {404}], "it has left")


def test_what_serves_everywhere_already_is_no_switch_and_names_what_served_before_where_it_is_one(
    call: Call, workers: Workers
) -> None:
    wish = ("models", "promote", "translator", "1.1.0", "--url", workers.url, *WHY, "--json")
    assert [json.loads(call(*wish).out)["outcome"] for _ in range(2)] == ["switched", "unchanged"]
    rows = json.loads(call("history", "--json").out)["model_switches"]
    assert [row["state"] for row in rows] == ["unchanged", "switched"]
    assert "translator 1.1.0 serves, 1.0.0 before it" in rows[1]["message"]
    assert [each["kind"] for each in workers.ask("GET", "/history").json()] == ["swap", "start", "start"]
