"""Model switches in the ledger: which version of a component was promoted or left, by whom and why.

Their verdicts and notes are kept under the switch's id, as those of a deployment are under the deployment's.
"""

from __future__ import annotations

from release.errors import LedgerError
from release.ledger import rows
from release.ledger.records import ModelState, ModelSwitchRow
from release.ledger.shelf import Shelf

_TABLE = "model_switches"


class ModelSwitches(Shelf):
    def begin_model_switch(self, row: ModelSwitchRow) -> None:
        with self._database.transaction() as connection:
            self._insert(connection, _TABLE, rows.columns(row))

    def finish_model_switch(
        self, switch_id: str, state: ModelState, after: str | None, exit_code: int, message: str
    ) -> None:
        """How it ended, and what serves since. Raises LedgerError for one that never began."""
        sql = f"UPDATE {_TABLE} SET state = ?, after = ?, exit_code = ?, message = ?, ended_at = ? WHERE id = ?"
        with self._database.transaction() as connection:
            values = (state.value, after, exit_code, rows.column(message), self._clock(), switch_id)
            if not connection.execute(sql, values).rowcount:
                raise LedgerError(f"the ledger knows no model switch {switch_id}", hint="`release history` lists them")

    def model_switches(
        self, limit: int | None = None, component: str | None = None, state: ModelState | None = None
    ) -> list[ModelSwitchRow]:
        """Newest first; none in a file of an older schema."""
        if not self._database.has(_TABLE):
            return []
        found = self._select(_TABLE, limit, component=component, state=state and state.value)
        return [rows.record(ModelSwitchRow, row) for row in found]
