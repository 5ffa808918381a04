"""The gates as steps: each asks one check about the candidate, keeps its verdict, and lets only green through."""

from __future__ import annotations

import time
from dataclasses import replace

from release.checks.base import Check, Subject, Target
from release.errors import Refused
from release.pipeline.events import StepProgress, VerdictGiven
from release.pipeline.step import Skip
from release.rollout import anchor
from release.rollout.deployment import Deployment
from release.verdict import Outcome, Verdict


class Gate:
    """Refuses on fail and on no data alike; a person may accept no data by name (`--accept-no-data CHECK`)."""

    commits = False

    def __init__(self, deployment: Deployment, check: Check, accepted: str | None = None) -> None:
        self.name = check.name
        self._deployment, self._check, self._accepted = deployment, check, accepted

    def run(self) -> str | Skip:
        deployment, hands = self._deployment, self._deployment.hands
        began = time.monotonic()
        with anchor.running(deployment, self._pinned()) as pinned:
            verdict = self._check.run(self._subject(pinned))
        verdict = replace(verdict, seconds=round(time.monotonic() - began, 3))
        hands.ledger.save_verdict(deployment.id, verdict)
        hands.report(VerdictGiven(verdict))
        if verdict.outcome is Outcome.SKIPPED:
            return Skip(verdict.reason)
        if verdict.outcome is Outcome.NO_DATA and self._accepted is not None:
            hands.ledger.note("accepted no data", self._accepted, deployment.id, check=self.name, actor=hands.actor)
            return f"no data, accepted by {hands.actor}: {self._accepted}"
        if not verdict.green:
            raise refusal(verdict)
        return verdict.reason

    def undo(self) -> str | None:
        return None

    def _pinned(self) -> str | None:
        quality = self._deployment.hands.manifest.checks.quality
        return quality.anchor if quality is not None and self.name == "quality" else None

    def _subject(self, pinned: Target | None) -> Subject:
        deployment = self._deployment
        work = deployment.work / self.name
        work.mkdir(parents=True, exist_ok=True)
        return Subject(
            candidate=deployment.candidate_target(),
            live=deployment.live_target(),
            tree=deployment.tree,
            work=work,
            anchor=pinned,
            answers=deployment.hands.state.answers,
            progress=lambda text: deployment.hands.report(StepProgress(self.name, text)),
            alive=deployment.alive,
        )


class LeftOut:
    """A gate that the manifest does not configure: skipped aloud, and so on record."""

    commits = False

    def __init__(self, deployment: Deployment, verdict: Verdict) -> None:
        self.name = verdict.check
        self._deployment, self._verdict = deployment, verdict

    def run(self) -> str | Skip:
        hands = self._deployment.hands
        hands.ledger.save_verdict(self._deployment.id, self._verdict)
        hands.report(VerdictGiven(self._verdict))
        return Skip(self._verdict.reason)

    def undo(self) -> str | None:
        return None


def refusal(verdict: Verdict) -> Refused:
    if verdict.outcome is Outcome.NO_DATA:
        return Refused(
            f"{verdict.check} could not tell: {verdict.reason}",
            hint=f"mend what is missing, or vouch for it: --accept-no-data {verdict.check}='the reason'",
        )
    return Refused(f"{verdict.check} refused it: {verdict.reason}", hint="`release report` shows the evidence")
