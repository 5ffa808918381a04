"""The record as values for programs."""

from __future__ import annotations

import json

import pytest

from release.ledger.store import Ledger
from release.report.document import as_json
from release.report.record import gather
from tests.report import conftest as records


def test_it_is_json_and_holds_every_part(ledger: Ledger) -> None:
    document = json.loads(json.dumps(as_json(gather(ledger, records.refused(ledger)))))
    assert document["version"] == 1
    assert document["deployment"]["state"] == "refused"
    assert document["release"]["standing"] == "rejected"
    assert [stage["step"] for stage in document["stages"]] == ["resolve", "start", "quality"]
    assert document["stages"][1]["undone"] == "removed shop-green"
    assert [verdict["outcome"] for verdict in document["verdicts"]] == ["skipped", "pass", "fail"]
    assert document["verdicts"][2]["evidence"]["tables"][1]["rows"][0][0] == "今天天气很好。"
    assert len(document["timeline"]) == 10
    assert document["attachments"]["candidate.log"].startswith("INFO started")


def test_switches_and_notes_are_told_oldest_first(ledger: Ledger) -> None:
    deployment = records.live(ledger)
    ledger.note("later", "second", deployment)
    document = as_json(gather(ledger, deployment))
    assert [switch["microseconds"] for switch in document["switches"]] == [38.4]
    assert [note["kind"] for note in document["notes"]] == ["notification failed", "later"]


def test_no_configuration_and_no_secret_is_in_it(ledger: Ledger) -> None:
    text = json.dumps(as_json(gather(ledger, records.refused(ledger))))
    assert "not for a report" not in text and "fingerprint" not in text


def test_an_unknown_deployment_has_no_record(ledger: Ledger) -> None:
    with pytest.raises(KeyError):
        gather(ledger, "nobody")
