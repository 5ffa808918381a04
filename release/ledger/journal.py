"""The journal of one deployment: one durable row for each thing that is about to happen, or has."""

from __future__ import annotations

from release.ledger.records import StepRow, StepState
from release.ledger.store import Ledger


class Journal:
    """Writes `started` before a step's effect, and its end after it; undo the same way. Raises LedgerError."""

    def __init__(self, ledger: Ledger, deployment_id: str) -> None:
        self._ledger = ledger
        self.deployment_id = deployment_id

    def started(self, step: str, detail: str = "") -> StepRow:
        return self.write(step, StepState.STARTED, detail)

    def done(self, step: str, detail: str = "", seconds: float | None = None) -> StepRow:
        return self.write(step, StepState.DONE, detail, seconds)

    def skipped(self, step: str, reason: str) -> StepRow:
        return self.write(step, StepState.SKIPPED, reason)

    def failed(self, step: str, reason: str, seconds: float | None = None) -> StepRow:
        return self.write(step, StepState.FAILED, reason, seconds)

    def undoing(self, step: str, detail: str = "") -> StepRow:
        return self.write(step, StepState.UNDOING, detail)

    def undone(self, step: str, detail: str = "", seconds: float | None = None) -> StepRow:
        return self.write(step, StepState.UNDONE, detail, seconds)

    def rows(self) -> list[StepRow]:
        return self._ledger.steps(self.deployment_id)

    def last(self) -> dict[str, StepState]:
        """Each step's latest state, in the order in which the steps began: what recovery starts from."""
        return {row.step: row.state for row in self.rows()}

    def write(self, step: str, state: StepState, detail: str = "", seconds: float | None = None) -> StepRow:
        return self._ledger.step(self.deployment_id, step, state, detail, seconds)
