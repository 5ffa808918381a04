"""The answer of a check: pass, fail or no data, with its reason and its evidence. No data never promotes."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    NO_DATA = "no data"
    SKIPPED = "skipped"  # not configured, or nothing to compare with; the reason says which


@dataclass(frozen=True)
class Verdict:
    """`check` is the check's name, `reason` one sentence for a person, `evidence` JSON-serialisable facts.

    `tables` in the evidence, where present, is a list of {"title", "columns": [str], "rows": [[str]]} that every
    reader (terminal, Markdown, job summary) can show without knowing the check.
    """

    check: str
    outcome: Outcome
    reason: str
    evidence: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def green(self) -> bool:
        """True where the deployment may go on: passed, or skipped with a reason."""
        return self.outcome in (Outcome.PASS, Outcome.SKIPPED)


def passed(check: str, reason: str, **evidence: Any) -> Verdict:
    return Verdict(check, Outcome.PASS, reason, evidence)


def failed(check: str, reason: str, **evidence: Any) -> Verdict:
    return Verdict(check, Outcome.FAIL, reason, evidence)


def no_data(check: str, reason: str, **evidence: Any) -> Verdict:
    return Verdict(check, Outcome.NO_DATA, reason, evidence)


def skipped(check: str, reason: str, **evidence: Any) -> Verdict:
    return Verdict(check, Outcome.SKIPPED, reason, evidence)
