"""Model switches in a report: counted by how they ended, with the time from promotion to rollback."""

from __future__ import annotations

import json
from dataclasses import replace

from release.ledger.records import ModelAction, ModelState, ModelSwitchRow
from release.ledger.store import Ledger
from release.report.document import as_json, models_as_json
from release.report.markdown import markdown
from release.report.models import told
from release.report.models_markdown import models_markdown
from release.report.record import gather
from tests.report import conftest as records

PLACE = "http://127.0.0.1:8000"


def row(
    began: str, ended: str | None, action: ModelAction, version: str | None, before: str | None, state: ModelState,
    after: str | None = None, component: str = "model",
) -> ModelSwitchRow:  # fmt: skip
    return ModelSwitchRow(
        f"{began}-{component}", action, component, version, before, after, PLACE, state, "ada", "host-1", 1,
        f"2026-11-21T{began}.000Z", None if ended is None else f"2026-11-21T{ended}.000Z",
        0 if state in (ModelState.SWITCHED, ModelState.UNCHANGED) else 1, "better | on names",
    )  # fmt: skip


PROMOTE, ROLLBACK = ModelAction.PROMOTE, ModelAction.ROLLBACK
ROWS = [
    row("02:00:00", "02:00:10", PROMOTE, "1.1.0", "1.0.0", ModelState.SWITCHED, "1.1.0"),
    row("02:05:00", "02:05:30", PROMOTE, "1.2.0", "1.1.0", ModelState.REFUSED),
    row("02:06:00", None, PROMOTE, "2.0.0", None, ModelState.RUNNING, component="tokenizer"),
    row("02:30:00", "02:30:01", ROLLBACK, None, "1.1.0", ModelState.SWITCHED, "1.0.0"),
    row("02:40:00", "02:40:01", ROLLBACK, None, "1.0.0", ModelState.REFUSED),
]


def test_they_are_counted_by_how_they_ended_and_a_rollback_says_how_long_what_it_left_served() -> None:
    found = told(list(reversed(ROWS)))
    assert found.outcomes == {
        "promote": {"switched": 1, "refused": 1, "running": 1},
        "rollback": {"switched": 1, "refused": 1},
    }
    assert found.served == [30 * 60 + 1 - 10]
    assert [each.seconds for each in found.switches] == [10, 30, None, 1, 1]


def test_what_was_promoted_again_served_since_then_and_what_nobody_promoted_has_no_time() -> None:
    again = row("02:20:00", "02:20:01", PROMOTE, "1.1.0", "1.0.0", ModelState.SWITCHED, "1.1.0")
    assert told([*ROWS, again]).served == [10 * 60]
    assert told(ROWS[3:]).served == []


def test_only_those_of_the_window_are_told_and_a_promotion_before_it_counts() -> None:
    found = told(ROWS, since="2026-11-21T02:30:00.000Z", until="2026-11-21T02:40:00.000Z")
    assert [each.row.action for each in found.switches] == [ROLLBACK]
    assert found.served == [1791]


def test_a_deployments_record_has_those_until_the_next_run(ledger: Ledger) -> None:
    deployment = records.live(ledger)
    for one in ROWS:
        ledger.begin_model_switch(one)
    text = markdown(gather(ledger, deployment))
    assert "### Model switches" in text
    assert "3 promotions (1 switched, 1 refused, 1 running); 2 rollbacks (1 switched, 1 refused)" in text
    assert "from promotion to rollback: 29 min 51 s" in text
    assert "| rollback model | 1.1.0 | 1.0.0 | switched | 1.0 s | 29 min 51 s | ada | http://127.0.0.1:8000 |" in text
    assert "better \\| on names" in text
    document = json.loads(json.dumps(as_json(gather(ledger, deployment))))
    assert document["model_switches"]["count"] == 5
    assert document["model_switches"]["promoted_to_rollback_seconds"] == [1791.0]
    assert document["model_switches"]["switches"][3]["promoted_to_rollback_seconds"] == 1791.0
    assert document["model_switches"]["switches"][1]["state"] == "refused"

    first = ledger.deployment(deployment)
    assert first is not None
    ledger.begin(replace(first, id="next", started_at="2026-11-21T02:29:00.000Z"))
    counts = [as_json(gather(ledger, name))["model_switches"]["count"] for name in (deployment, "next")]
    assert counts == [3, 2]


def test_alone_they_are_told_whatever_was_deployed() -> None:
    text = models_markdown(told(ROWS), "shop")
    assert text.startswith("## Model switches of shop\n\n3 promotions (")
    assert models_markdown(told([]), "shop").endswith("none is recorded\n")
    assert models_as_json(told([])) == {
        "count": 0,
        "outcomes": {},
        "promoted_to_rollback_seconds": [],
        "switches": [],
    }
