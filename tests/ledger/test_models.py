"""Model switches in the ledger, and in ledgers that were made before there were any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from release.errors import LedgerError
from release.ledger import rows, schema
from release.ledger.database import Database
from release.ledger.records import DeploymentRow, ModelAction, ModelState, ModelSwitchRow, ReleaseRow
from release.ledger.store import Ledger, LedgerFull
from release.verdict import Outcome, Verdict

SWITCH = ModelSwitchRow(
    id="m-1",
    action=ModelAction.PROMOTE,
    component="translator",
    version="1.1.0",
    before="1.0.0",
    after=None,
    place="/srv/models",
    state=ModelState.RUNNING,
    actor="anna",
    host="host-1",
    pid=4711,
    started_at="2026-01-01T00:00:00.000Z",
    reason="better on names",
)


def of_version_1(path: Path, release: ReleaseRow, deployment: DeploymentRow) -> Path:
    """A ledger as it was before model switches, with a release and a deployment in it."""
    old = Database(path, migrations=schema.MIGRATIONS[:1])
    with old.transaction() as connection:
        for table, row in (("releases", release), ("deployments", deployment)):
            values = rows.columns(row)
            names = ", ".join(f'"{name}"' for name in values)
            marks = ", ".join("?" * len(values))
            connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values()))
    old.close()
    return path


def test_a_model_switch_comes_back_as_it_began_and_as_it_ended(ledger: Ledger) -> None:
    ledger.begin_model_switch(SWITCH)
    assert ledger.model_switches() == [SWITCH]
    ledger.finish_model_switch("m-1", ModelState.REFUSED, None, 1, "quality refused it")
    (row,) = ledger.model_switches()
    assert (row.state, row.after, row.exit_code, row.message) == (ModelState.REFUSED, None, 1, "quality refused it")
    assert row.ended_at is not None


def test_model_switches_are_told_apart_by_component_and_state(ledger: Ledger) -> None:
    ledger.begin_model_switch(SWITCH)
    ledger.begin_model_switch(replace(SWITCH, id="m-2", component="tokenizer", before=None))
    ledger.finish_model_switch("m-2", ModelState.MARKED, "1.2.0", 0, "done")
    assert [row.id for row in ledger.model_switches()] == ["m-2", "m-1"]
    assert [(row.id, row.after) for row in ledger.model_switches(component="tokenizer")] == [("m-2", "1.2.0")]
    assert [row.id for row in ledger.model_switches(state=ModelState.RUNNING)] == ["m-1"]


def test_verdicts_of_a_model_switch_are_kept_under_its_id(ledger: Ledger) -> None:
    ledger.begin_model_switch(SWITCH)
    verdict = Verdict("quality", Outcome.FAIL, "worse", {"cases": 20})
    ledger.save_verdict("m-1", verdict)
    assert ledger.verdicts("m-1") == [verdict]


def test_a_model_switch_that_never_began_cannot_end(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="knows no model switch m-9"):
        ledger.finish_model_switch("m-9", ModelState.MARKED, None, 0, "")


def test_a_model_switch_moves_no_traffic_and_is_no_deployment(ledger: Ledger) -> None:
    ledger.begin_model_switch(SWITCH)
    assert ledger.deployments() == ledger.unfinished() == ledger.switches() == []


def test_an_old_ledger_takes_model_switches_and_keeps_what_it_held(
    tmp_path: Path, release_row: ReleaseRow, deployment_row: DeploymentRow
) -> None:
    path = of_version_1(tmp_path / "ledger.db", release_row, deployment_row)
    with Ledger(path) as ledger:
        ledger.begin_model_switch(SWITCH)
        assert ledger.model_switches() == [SWITCH]
        assert ledger.releases() == [release_row] and ledger.deployments() == [deployment_row]


def test_an_old_ledger_can_be_looked_at_and_is_not_changed_by_it(
    tmp_path: Path, release_row: ReleaseRow, deployment_row: DeploymentRow
) -> None:
    path = of_version_1(tmp_path / "ledger.db", release_row, deployment_row)
    with Ledger(path, readonly=True) as ledger:
        assert ledger.releases() == [release_row] and ledger.model_switches() == []
    reread = Database(path, readonly=True, migrations=schema.MIGRATIONS[:1])
    assert reread.rows("PRAGMA user_version")[0][0] == 1
    reread.close()


def test_an_old_ledger_on_a_full_disk_still_says_what_can_be_gone_back_to(
    small_disk: Path, fill: Callable[[Path], None], release_row: ReleaseRow, deployment_row: DeploymentRow
) -> None:
    path = of_version_1(small_disk / "ledger.db", release_row, deployment_row)
    fill(small_disk)
    with Ledger(path) as ledger:
        assert ledger.releases() == [release_row]
        with pytest.raises(LedgerFull):
            ledger.begin_model_switch(SWITCH)
