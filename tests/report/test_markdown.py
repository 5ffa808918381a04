"""The record as Markdown: compared whole with golden files, and held to what must hold for any text."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from release.ledger.records import DeploymentRow, DeploymentState, Kind, StepRow, StepState
from release.ledger.store import Ledger
from release.report.markdown import LIMIT, markdown
from release.report.record import Record, gather
from release.verdict import failed
from tests.report import conftest as records

GOLDEN = Path(__file__).parent / "golden"
ROW = DeploymentRow(
    "d-1", Kind.DEPLOY, "v1.0.0-abc1234", DeploymentState.FAILED, "ada", "host", 1, "2026-11-21T02:00:00Z"
)


@pytest.mark.parametrize("name", ["refused", "live"])
def test_the_report_is_the_golden_one(ledger: Ledger, name: str) -> None:
    """`UPDATE_GOLDEN=1 pytest tests/report` writes the files anew; look at the difference before it is kept."""
    text = markdown(gather(ledger, getattr(records, name)(ledger)))
    path = GOLDEN / f"{name}.md"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_no_configuration_and_no_secret_is_in_a_report(ledger: Ledger) -> None:
    text = markdown(gather(ledger, records.refused(ledger)))
    assert "not for a report" not in text and "fingerprint" not in text


def test_a_run_that_has_not_ended_says_where_it_stands(ledger: Ledger) -> None:
    records.begin(ledger, "v1.1.0-abc1234", "d-1", None)
    ledger.step("d-1", "observe", StepState.STARTED)
    text = markdown(gather(ledger, "d-1"))
    assert "## ⏳ Deployment of v1.1.0-abc1234: running" in text
    assert "| ended | not yet |" in text
    assert "| ⏳ | observe |  | has no end on record: it runs, or its process was killed here |" in text


def test_a_rollback_is_called_one(ledger: Ledger) -> None:
    records.begin(ledger, "v1.0.0-abc1234", "d-1", "v1.1.0-def5678", kind=Kind.ROLLBACK)
    ledger.finish("d-1", DeploymentState.LIVE, 0, "rolled back from v1.1.0-def5678")
    assert markdown(gather(ledger, "d-1")).startswith("## ✅ Rollback to v1.0.0-abc1234: live\n")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=200))
@example("::")
@example("# a heading")
def test_text_from_outside_makes_no_markup(text: str) -> None:
    table = {"title": text, "columns": ["a", "b"], "rows": [[text, "x"]]}
    steps = [StepRow(1, "d-1", "start", StepState.FAILED, "", 1.0, text)]
    record = Record(ROW, None, steps, [failed("quality", text, tables=[table])], attachments={"candidate.log": text})
    rendered = markdown(record)
    for line in rendered.splitlines():
        assert not line.startswith(("::", "```", "#!", "# "))
        if line.startswith("| ") and "---" not in line:
            cells = line.replace("\\\\", "").replace("\\|", "").count("|") - 1
            assert cells in (2, 4)
    markup = (
        rendered.replace("<details>", "").replace("</details>", "").replace("<summary>", "").replace("</summary>", "")
    )
    assert "<" not in "".join(line for line in markup.replace("<br>", "").splitlines() if not line.startswith("    "))


@pytest.mark.parametrize("limit", [2_000, 20_000, LIMIT])
def test_a_report_stays_within_its_limit_and_says_that_there_is_more(limit: int) -> None:
    table = {"title": "Worst cases", "columns": ["source"], "rows": [["今天天气很好" * 50]] * 3000}
    record = Record(ROW, None, [], [failed("quality", "bad", tables=[table])], attachments={"log": "x\n" * 100})
    text = markdown(record, limit)
    assert len(text.encode()) <= limit
    assert text.startswith("## ❌ Deployment of v1.0.0-abc1234: failed")
    assert "More than fits here" in text
