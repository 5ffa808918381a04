"""The rule of the latency gate: when a percentile's interval settles the question, and what holds when it never does.

Pure: waves of latencies in, answers out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from release.verdict import Outcome

SEED = 12345
RESAMPLES = 1000
PERCENTILE = 95

Waves = list[list[float]]  # seconds, shape (waves, concurrency)


@dataclass(frozen=True)
class Question:
    """`budget`: the candidate's p95 is at most `limit` seconds. `ratio`: it is at most `limit` times live's."""

    about: Literal["budget", "ratio"]
    limit: float
    candidate: Sequence[Sequence[float]]
    live: Sequence[Sequence[float]] | None = None

    def interval(self) -> Any:
        from release.checks.statistics import percentile_interval, ratio_interval

        if self.live is None:
            return percentile_interval(self.candidate, PERCENTILE, RESAMPLES, SEED)
        return ratio_interval(self.candidate, self.live, PERCENTILE, RESAMPLES, SEED)


@dataclass(frozen=True)
class Answer:
    about: str
    outcome: Outcome
    point: float
    low: float
    high: float
    limit: float
    rule: str

    @property
    def sentence(self) -> str:
        if self.about == "budget":
            figures = f"{1000 * self.point:.0f} ms [{1000 * self.low:.0f}, {1000 * self.high:.0f}]"
            return f"p95 {figures}, budget {1000 * self.limit:g} ms{self.rule and f' ({self.rule})'}"
        figures = f"{self.point:.2f} × live's [{self.low:.2f}, {self.high:.2f}]"
        return f"p95 {figures}, at most {self.limit:g} ×{self.rule and f' ({self.rule})'}"

    def facts(self) -> dict[str, Any]:
        return {
            "point": self.point,
            "interval": [self.low, self.high],
            "limit": self.limit,
            "outcome": str(self.outcome),
            "rule": self.rule,
        }


def judge(question: Question) -> Outcome | None:
    """Pass or fail where the interval settles it, None while it straddles the limit."""
    return _settled(question.interval(), question.limit)


def _settled(interval: Any, limit: float) -> Outcome | None:
    if interval.low > limit:
        return Outcome.FAIL
    return Outcome.PASS if interval.high <= limit else None


def settle(question: Question) -> Answer:
    """The answer after the last request. Where the interval still straddles the limit:

    - a budget passes by its point estimate, for it is a figure that a person rounded; above it, nobody can tell;
    - a ratio passes where the candidate is not even shown to be slower than live (the interval reaches down to 1), its
      point estimate is within the limit, and the interval does not reach beyond the limit squared, that is, where the
      measurement was fine enough to have seen it. Otherwise nobody can tell.
    """
    interval = question.interval()
    outcome, rule = _settled(interval, question.limit), ""
    if outcome is None:
        within = interval.point <= question.limit
        if question.about == "budget":
            outcome, rule = (Outcome.PASS, "by the point estimate") if within else (Outcome.NO_DATA, "not settled")
        elif within and interval.low <= 1 and interval.high <= question.limit**2:
            outcome, rule = Outcome.PASS, "not shown to be slower than live"
        else:
            outcome, rule = Outcome.NO_DATA, "not settled"
    return Answer(question.about, outcome, interval.point, interval.low, interval.high, question.limit, rule)
