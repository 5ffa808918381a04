"""Quality: the benchmark set, its floors, and non-inferiority against the live release (and a pinned anchor)."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from release.checks import answers as fetching
from release.checks import cases as benchmark
from release.checks.base import Subject, Target
from release.checks.http import takes_source
from release.errors import UsageError
from release.verdict import Outcome, Verdict, no_data

if TYPE_CHECKING:
    from release.checks.answers import Answers
    from release.checks.cases import CaseSet
    from release.checks.comparison import Finding, Scored
    from release.checks.scoring import Scorer
    from release.config.checks import Quality

_CELL = 300  # characters of a text in a table


@dataclass
class _Judgement:
    """What one run gathers: sentences by how they weigh, and the evidence behind them."""

    fails: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    good: list[str] = field(default_factory=list)
    evidence: dict[str, Any] = field(default_factory=lambda: {"tables": []})

    def take(self, finding: Finding) -> None:
        sentence = f"{finding} ({finding.note})" if finding.note else str(finding)
        if finding.outcome is Outcome.FAIL:
            self.fails.append(sentence)
        elif finding.outcome is Outcome.NO_DATA:
            self.unknown.append(sentence)
        elif finding.outcome is Outcome.PASS and finding.group is None:
            self.good.append(str(finding))

    def table(self, title: str, columns: list[str], rows: list[list[str]]) -> None:
        if rows:
            self.evidence["tables"].append({"title": title, "columns": columns, "rows": rows})


class QualityCheck:
    """See docs/checks.md for the rule. `approved`: a person has looked at the sample that `hold` asks for."""

    name = "quality"

    def __init__(self, section: Quality, *, approved: bool = False) -> None:
        self._section, self._approved = section, approved

    def run(self, subject: Subject) -> Verdict:
        try:
            if not takes_source(self._section.request):
                raise UsageError(
                    "the request does not contain {source}", hint="put {source} into checks.quality.request"
                )
            cases = benchmark.load(subject.tree, self._section.cases)
            candidate = fetching.fetch(subject.candidate, self._section, cases, subject, "quality")
        except UsageError as error:
            return no_data(self.name, f"quality could not be measured: {error.message}", hint=error.hint)
        if candidate.gave_up:
            return self._silent(candidate, len(cases.cases))
        try:
            return self._judge(subject, cases, candidate)
        except ValueError as error:  # another sacrebleu, another formula
            return no_data(self.name, f"quality could not be measured: {error}")

    def _silent(self, candidate: Answers, number: int) -> Verdict:
        reason = f"the candidate stopped answering, and the rest of {number} cases was not asked: {candidate.why()}"
        evidence = {"cases": number, "unanswered": len(candidate.missing), "why": candidate.why()}
        return Verdict(self.name, Outcome.FAIL, reason, evidence)

    def _judge(self, subject: Subject, cases: CaseSet, answers: Answers) -> Verdict:
        from release.checks import comparison
        from release.checks.scoring import Scorer

        # chrF is measured always: it ranks the worst cases.
        scorers = [Scorer(name) for name in dict.fromkeys([*self._section.metrics, "chrf"])]
        subject.progress("quality: scoring")
        candidate = comparison.Scored(answers.texts, cases, scorers, subject.alive)
        judgement = _Judgement()
        self._describe(judgement, cases, answers, candidate, scorers)
        self._floors(judgement, candidate, scorers)
        live = self._against(judgement, "live", subject.live, subject, cases, candidate, scorers)
        self._anchor(judgement, subject, cases, candidate, scorers)
        self._worst(judgement, cases, candidate, live)
        return self._verdict(judgement, subject, cases, answers, candidate, live)

    def _describe(
        self, judgement: _Judgement, cases: CaseSet, answers: Answers, candidate: Scored, scorers: list[Scorer]
    ) -> None:
        judgement.evidence |= {
            "cases": len(cases.cases),
            "digest": cases.digest,
            "groups": {group: len(members) for group, members in cases.groups.items()},
            "unanswered": len(answers.missing),
            "unanswered_why": answers.why() if answers.missing else None,
            "scores": {s.name: s.score(candidate.statistics[s.name]) for s in scorers},
            "signatures": {s.name: s.signature for s in scorers},
            "resamples": self._section.resamples,
            "comparisons": [],
        }

    def _floors(self, judgement: _Judgement, candidate: Scored, scorers: list[Scorer]) -> None:
        """Floors and ceilings hold over all cases, the unanswered ones as empty answers."""
        from release.checks.scoring import SHOWN

        rows = []
        for scorer in scorers:
            metric = self._section.metrics.get(scorer.name)  # type: ignore[call-overload]
            limit = None if metric is None else (metric.ceiling if scorer.name == "ter" else metric.floor)
            if limit is None:
                continue
            score = judgement.evidence["scores"][scorer.name]
            met, word = (score <= limit, "ceiling") if scorer.name == "ter" else (score >= limit, "floor")
            compare = {(True, "floor"): "≥", (True, "ceiling"): "≤", (False, "floor"): "<", (False, "ceiling"): ">"}
            sentence = f"{SHOWN[scorer.name]} {score:.1f} {compare[met, word]} {word} {limit:g}"
            (judgement.good if met else judgement.fails).append(sentence)
            rows.append([SHOWN[scorer.name], f"{score:.1f}", f"{word} {limit:g}", "pass" if met else "fail"])
        judgement.evidence["floors"] = len(rows)
        judgement.table("Floors", ["metric", "candidate", "limit", "verdict"], rows)

    def _against(
        self,
        judgement: _Judgement,
        role: str,
        target: Target | None,
        subject: Subject,
        cases: CaseSet,
        candidate: Scored,
        scorers: list[Scorer],
    ) -> Scored | None:
        """Compares with another release, and returns its scored answers where there are enough."""
        from release.checks import comparison

        if target is None:
            return None
        answers = fetching.fetch(target, self._section, cases, subject, f"quality {role}", reuse=True)
        missing = len(answers.missing)
        judgement.evidence[role] = {"release": target.release, "unanswered": missing, "kept": answers.kept}
        if missing > comparison.MOST_MISSING * len(cases.cases):
            judgement.unknown.append(
                f"{role} ({target.release}) left {missing} of {len(cases.cases)} cases unanswered, "
                f"more than 1 %: {answers.why()}"
            )
            return None
        other = comparison.Scored(answers.texts, cases, scorers, subject.alive)
        subject.progress(f"quality: comparing with {role}")
        found = comparison.findings(candidate, other, role, cases, self._section, scorers)
        for finding in found:
            judgement.take(finding)
        judgement.evidence["comparisons"] += [finding.facts() for finding in found]
        title = f"Against {role} ({target.release})"
        judgement.table(title, comparison.COLUMNS, [finding.row() for finding in found])
        return other

    def _anchor(
        self, judgement: _Judgement, subject: Subject, cases: CaseSet, candidate: Scored, scorers: list[Scorer]
    ) -> None:
        """Also against the pinned release: margins against live alone erode one deployment at a time."""
        name = self._section.anchor
        if subject.anchor is not None:
            self._against(judgement, "anchor", subject.anchor, subject, cases, candidate, scorers)
        elif name is not None and not any(_is(target, name) for target in (subject.live, subject.candidate)):
            judgement.unknown.append(f"the anchor {name} is pinned and does not run, so nothing was compared with it")

    def _worst(self, judgement: _Judgement, cases: CaseSet, candidate: Scored, live: Scored | None) -> None:
        from release.checks import comparison

        found = comparison.worst(candidate, live, cases, self._section.worst)
        rows = [[*_texts(cases, index, candidate, live), f"{value:.0f}"] for index, value in found]
        last = "chrF" if live is None else "chrF lost"
        judgement.table("Worst cases", ["source", "reference", "live", "candidate", last], rows)

    def _verdict(
        self,
        judgement: _Judgement,
        subject: Subject,
        cases: CaseSet,
        answers: Answers,
        candidate: Scored,
        live: Scored | None,
    ) -> Verdict:
        evidence = judgement.evidence
        lost = f"; {len(answers.missing)} cases unanswered, counted as empty" if answers.missing else ""
        if judgement.fails:
            return Verdict(self.name, Outcome.FAIL, "; ".join(judgement.fails) + lost, evidence)
        if judgement.unknown:
            return Verdict(self.name, Outcome.NO_DATA, "not settled: " + "; ".join(judgement.unknown) + lost, evidence)
        if self._section.hold and not self._approved:
            self._sample(judgement, cases, candidate, live)
            reason = f"held for a person's look at {min(self._section.hold, len(cases.cases))} answers; "
            return Verdict(self.name, Outcome.NO_DATA, reason + "approve with --approve" + lost, evidence)
        if subject.live is None:
            first = "the first deployment has nothing to compare with"
            if not judgement.good:
                return Verdict(self.name, Outcome.SKIPPED, f"{first}, and no floor is set{lost}", evidence)
            return Verdict(self.name, Outcome.PASS, f"{'; '.join(judgement.good)}; {first}{lost}", evidence)
        return Verdict(self.name, Outcome.PASS, "; ".join(judgement.good) + lost, evidence)

    def _sample(self, judgement: _Judgement, cases: CaseSet, candidate: Scored, live: Scored | None) -> None:
        """A random sample, fixed by the case set, so that nobody can draw until it looks well."""
        number = min(self._section.hold, len(cases.cases))
        chosen = sorted(random.Random(cases.digest).sample(range(len(cases.cases)), number))
        rows = [_texts(cases, index, candidate, live) for index in chosen]
        judgement.table("Answers to look at", ["source", "reference", "live", "candidate"], rows)


def _is(target: Target | None, name: str) -> bool:
    """True where `target` is the release called `name`, by its full name or its tag."""
    return target is not None and (target.release == name or target.release.rpartition("-")[0] == name)


def _texts(cases: CaseSet, index: int, candidate: Scored, live: Scored | None) -> list[str]:
    case = cases.cases[index]
    theirs = "—" if live is None else _shown(live.texts[index])
    return [case.source[:_CELL], case.reference[:_CELL], theirs, _shown(candidate.texts[index])]


def _shown(text: str | None) -> str:
    return "(no answer)" if text is None else text[:_CELL]
