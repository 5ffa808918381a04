"""Deployments in the ledger: the runs, their journal and their verdicts."""

from __future__ import annotations

from typing import Any

from release.errors import LedgerError
from release.ledger import rows
from release.ledger.records import DeploymentRow, DeploymentState, Kind, StepRow, StepState
from release.ledger.shelf import Shelf
from release.verdict import Verdict

_UPDATABLE = frozenset(
    {
        "release",
        "state",
        "pid",
        "ended_at",
        "slot",
        "previous_release",
        "previous_slot",
        "epoch",
        "exit_code",
        "message",
    }
)


class Deployments(Shelf):
    def begin(self, deployment: DeploymentRow) -> None:
        with self._database.transaction() as connection:
            self._insert(connection, "deployments", rows.columns(deployment))

    def update(self, deployment_id: str, **columns: Any) -> None:
        """Sets columns of a deployment. Raises ValueError for a column that is fixed at `begin` (or none)."""
        unknown = sorted(set(columns) - _UPDATABLE)
        if unknown or not columns:
            raise ValueError(f"cannot update {unknown or 'nothing'}; these can: {', '.join(sorted(_UPDATABLE))}")
        names = ", ".join(f'"{name}" = ?' for name in columns)
        with self._database.transaction() as connection:
            values = [rows.column(value) for value in columns.values()]
            changed = connection.execute(f"UPDATE deployments SET {names} WHERE id = ?", (*values, deployment_id))
            _begun(changed.rowcount, deployment_id)

    def remember(self, deployment_id: str, **facts: Any) -> None:
        """Merges facts into the deployment's; durable before the effect that they describe."""
        with self._database.transaction() as connection:
            found = connection.execute("SELECT * FROM deployments WHERE id = ?", (deployment_id,)).fetchall()
            _begun(len(found), deployment_id)
            merged = rows.record(DeploymentRow, found[0]).facts | facts
            values = (rows.to_json(merged), deployment_id)
            connection.execute("UPDATE deployments SET facts = ? WHERE id = ?", values)

    def finish(self, deployment_id: str, state: DeploymentState, exit_code: int | None, message: str) -> None:
        self.update(deployment_id, state=state, exit_code=exit_code, message=message, ended_at=self._clock())

    def deployment(self, deployment_id: str) -> DeploymentRow | None:
        found = self._database.rows("SELECT * FROM deployments WHERE id = ?", deployment_id)
        return rows.record(DeploymentRow, found[0]) if found else None

    def deployments(
        self, limit: int | None = None, release: str | None = None, kind: Kind | None = None
    ) -> list[DeploymentRow]:
        """Newest first."""
        return [
            rows.record(DeploymentRow, row)
            for row in self._select("deployments", limit, release=release, kind=kind and kind.value)
        ]

    def unfinished(self) -> list[DeploymentRow]:
        """Those that say they run, newest first; whether one truly does, the deployment lock tells."""
        running = self._select("deployments", None, state=DeploymentState.RUNNING.value)
        return [rows.record(DeploymentRow, row) for row in running]

    def step(
        self, deployment_id: str, step: str, state: StepState, detail: str = "", seconds: float | None = None
    ) -> StepRow:
        """Adds a row to the journal, numbered from 1 in each deployment; durable when it returns."""
        sql = (
            "INSERT INTO steps (deployment, number, step, state, at, seconds, detail)"
            " SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3, ?4, ?5, ?6 FROM steps WHERE deployment = ?1 RETURNING *"
        )
        with self._database.transaction() as connection:
            values = (deployment_id, step, state.value, self._clock(), seconds, rows.column(detail))
            return rows.record(StepRow, connection.execute(sql, values).fetchall()[0])

    def steps(self, deployment_id: str) -> list[StepRow]:
        found = self._database.rows("SELECT * FROM steps WHERE deployment = ? ORDER BY number", deployment_id)
        return [rows.record(StepRow, row) for row in found]

    def save_verdict(self, deployment_id: str, verdict: Verdict) -> None:
        with self._database.transaction() as connection:
            self._insert(connection, "verdicts", {"deployment": deployment_id} | rows.columns(verdict))

    def verdicts(self, deployment_id: str) -> list[Verdict]:
        found = self._database.rows("SELECT * FROM verdicts WHERE deployment = ? ORDER BY number", deployment_id)
        return [rows.record(Verdict, row) for row in found]


def _begun(changed: int, deployment_id: str) -> None:
    if not changed:
        raise LedgerError(f"the ledger knows no deployment {deployment_id}", hint="`release history` lists them")
