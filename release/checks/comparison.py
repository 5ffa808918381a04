"""Two systems' answers held against each other: non-inferiority per metric, over all cases and in every group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from release.checks.scoring import SHOWN, Scorer
from release.checks.statistics import Array, Interval, chrf, compare
from release.verdict import Outcome

if TYPE_CHECKING:
    from release.checks.cases import CaseSet
    from release.config.checks import Quality

SEED = 12345  # fixed: the same answers get the same verdict, however often they are judged
FEWEST_UNITS = 20  # documents (or cases) below which a bootstrap interval is too narrow to be believed
MOST_MISSING = 0.01  # of the cases that the other release may leave out of the pairing


@dataclass(frozen=True)
class Finding:
    """One metric over one set of cases against one release. `outcome` is None where it is shown and not judged."""

    metric: str
    against: str  # "live" or "anchor"
    group: str | None
    cases: int
    candidate: float
    other: float
    delta: Interval
    margin: float
    outcome: Outcome | None
    note: str = ""

    def __str__(self) -> str:
        where = f"in group {self.group}, " if self.group is not None else ""
        interval = f"{signed(self.delta.point)} [{signed(self.delta.low)}, {signed(self.delta.high)}]"
        scores = f"{SHOWN[self.metric]} {self.candidate:.1f} against {self.other:.1f} {self.against}"
        return f"{where}{scores}: {interval}, margin {self.margin:g}"

    def row(self) -> list[str]:
        verdict = str(self.outcome) if self.outcome is not None else f"not judged: {self.note}"
        interval = f"[{signed(self.delta.low)}, {signed(self.delta.high)}]"
        return [self.group or "all", SHOWN[self.metric], str(self.cases), f"{self.candidate:.1f}", f"{self.other:.1f}",
                signed(self.delta.point), interval, f"{self.margin:g}", verdict]  # fmt: skip

    def facts(self) -> dict[str, Any]:
        return {
            "metric": self.metric,
            "against": self.against,
            "group": self.group,
            "cases": self.cases,
            "candidate": self.candidate,
            "other": self.other,
            "delta": self.delta.point,
            "interval": [self.delta.low, self.delta.high],
            "margin": self.margin,
            "outcome": None if self.outcome is None else str(self.outcome),
            "note": self.note,
        }


COLUMNS = ["cases of", "metric", "n", "candidate", "other", "difference", "90 % interval", "margin", "verdict"]


def signed(value: float) -> str:
    """One decimal with its sign, and a zero without: +0.4, −1.2, 0.0."""
    text = f"{abs(value):.1f}"
    return text if float(text) == 0 else f"{'+' if value > 0 else '−'}{text}"


def decide(delta: Interval, margin: float) -> Outcome:
    """Pass: the difference is surely above −margin. Fail: it is surely below. Otherwise nobody can tell."""
    if delta.low > -margin:
        return Outcome.PASS
    return Outcome.FAIL if delta.high < -margin else Outcome.NO_DATA


class Scored:
    """One system's answers (an unanswered case is an empty text) with their statistics for every metric."""

    def __init__(
        self, texts: Sequence[str | None], cases: CaseSet, scorers: Sequence[Scorer], alive: Callable[[], None]
    ) -> None:
        self.texts = texts
        filled = [text or "" for text in texts]
        references = [case.reference for case in cases.cases]
        self.statistics: dict[str, Array] = {s.name: s.statistics(filled, references, alive) for s in scorers}

    def rows(self, metric: str, indices: Sequence[int]) -> Array:
        return self.statistics[metric][list(indices)]


def findings(
    candidate: Scored, other: Scored, against: str, cases: CaseSet, section: Quality, scorers: Sequence[Scorer]
) -> list[Finding]:
    """Every metric over all cases that `other` answered, and over each group's."""
    paired = [index for index, text in enumerate(other.texts) if text is not None]
    judged = [scorer for scorer in scorers if scorer.name in section.metrics]
    found = _judge(candidate, other, against, None, paired, cases, section, judged)
    if section.groups and len(cases.groups) > 1:
        answered = set(paired)
        for group, members in cases.groups.items():
            indices = [index for index in members if index in answered]
            if indices:
                found += _judge(candidate, other, against, group, indices, cases, section, judged)
    return found


def _judge(
    candidate: Scored,
    other: Scored,
    against: str,
    group: str | None,
    indices: list[int],
    cases: CaseSet,
    section: Quality,
    scorers: Sequence[Scorer],
) -> list[Finding]:
    mine = {s.name: candidate.rows(s.name, indices) for s in scorers}
    theirs = {s.name: other.rows(s.name, indices) for s in scorers}
    units = cases.units(indices)
    same = all((candidate.texts[index] or "") == other.texts[index] for index in indices)
    zero = {s.name: Interval(0.0, 0.0, 0.0) for s in scorers}
    deltas = zero if same else compare(mine, theirs, units, section.resamples, SEED)
    few = 0 if same else FEWEST_UNITS
    found = []
    for scorer in scorers:
        margin = section.metrics[scorer.name].margin  # type: ignore[index]
        outcome: Outcome | None = decide(deltas[scorer.name], margin)
        note = "the answers are identical" if same else ""
        if group is not None and len(indices) < section.min_group:
            outcome, note = None, f"fewer than {section.min_group} cases"
        elif max(units) + 1 < few:
            note = f"{max(units) + 1} documents or cases are fewer than {FEWEST_UNITS}"
            outcome = Outcome.NO_DATA if group is None else None
        scores = scorer.score(mine[scorer.name]), scorer.score(theirs[scorer.name])
        found.append(
            Finding(scorer.name, against, group, len(indices), *scores, deltas[scorer.name], margin, outcome, note)
        )
    return found


def worst(candidate: Scored, live: Scored | None, cases: CaseSet, number: int) -> list[tuple[int, float]]:
    """(index, chrF points) of the cases where the candidate lost most against live, or scored lowest without one."""
    mine = chrf(candidate.statistics["chrf"])
    if live is None:
        order = [(float(score), index) for index, score in enumerate(mine)]
    else:
        drops = mine - chrf(live.statistics["chrf"])
        order = [(float(drop), i) for i, drop in enumerate(drops) if drop < 0 and live.texts[i] is not None]
    return [(index, value) for value, index in sorted(order)[:number]]
