"""What every reporter tells of a verdict: how its step ended, and which lines it holds. Its tables: `tables`."""

from __future__ import annotations

from release.ledger.records import StepState
from release.pipeline.events import Excerpt, StepEnded
from release.verdict import Outcome, Verdict

_ENDS = {Outcome.PASS: StepState.DONE, Outcome.SKIPPED: StepState.SKIPPED}


def as_end(verdict: Verdict) -> StepEnded:
    """The end of a step that has none of its own (`check --url`)."""
    return StepEnded(verdict.check, _ENDS.get(verdict.outcome, StepState.FAILED), verdict.reason, verdict.seconds)


def excerpts(verdict: Verdict) -> list[Excerpt]:
    """What a red verdict holds as lines (the end of a suite's output), by name, without empty lines at the end."""
    if verdict.green:
        return []
    found = []
    for name, value in verdict.evidence.items():
        if isinstance(value, list) and value and all(isinstance(line, str) for line in value):
            found.append(Excerpt(f"{verdict.check}: {name}", tuple("\n".join(value).rstrip().splitlines())))
    return found
