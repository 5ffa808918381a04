"""Trying a release out without going live: the image alone, or the gates alone, against a tag or a URL."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from release.checks import unconfigured
from release.checks.base import Check, Subject, Target
from release.errors import ReleaseError
from release.ledger.journal import Journal
from release.ledger.records import DeploymentState, Kind
from release.operations.deploy import Wishes, new_row, outcome_of, remember_previous
from release.operations.result import Result
from release.operations.settle import settle
from release.pipeline.events import Began, Ended, StepBegan, VerdictGiven
from release.pipeline.runner import Runner
from release.rollout import bluegreen, identity
from release.rollout.deployment import Deployment
from release.rollout.gates import refusal
from release.rollout.hands import Hands, Plan
from release.verdict import Outcome


def build(hands: Hands, plan: Plan, hold_lock: Callable[[str], Any]) -> Result:
    """The image of a tag and nothing else: reused where it is there, built (and pushed by the manifest's rule) else."""
    return _trial(hands, plan, Wishes(), hold_lock, Kind.BUILD)


def check(hands: Hands, plan: Plan, wishes: Wishes, hold_lock: Callable[[str], Any]) -> Result:
    """The whole way up to the switch, and back again: image, candidate, every gate; live is never touched."""
    return _trial(hands, plan, wishes, hold_lock, Kind.CHECK)


def check_url(hands: Hands, checks: list[Check], url: str, against: str | None, tree: Path) -> Result:
    """The gates against a service that already runs at `url`; nothing is started or recorded."""
    live = Target(against.rstrip("/"), "live") if against else None
    verdicts = []
    with tempfile.TemporaryDirectory() as scratch:
        for one in checks:
            hands.report(StepBegan(one.name))
            began = time.monotonic()
            work = Path(scratch) / one.name
            work.mkdir()
            subject = Subject(Target(url.rstrip("/"), "candidate"), live, tree, work, alive=hands.interruption.check)
            verdict = replace(one.run(subject), seconds=round(time.monotonic() - began, 3))
            hands.report(VerdictGiven(verdict))
            verdicts.append(verdict)
    for left_out in unconfigured(hands.manifest):
        hands.report(VerdictGiven(left_out))
        verdicts.append(left_out)
    red = [verdict for verdict in verdicts if not verdict.green]
    data = {"verdicts": [{"check": v.check, "outcome": str(v.outcome), "reason": v.reason} for v in verdicts]}
    if red:
        error = refusal(red[0])
        error.context.update(data)
        raise error
    skips = sum(verdict.outcome is Outcome.SKIPPED for verdict in verdicts)
    text = f"{url} passed {len(verdicts) - skips} checks{f'; {skips} were skipped' if skips else ''}"
    return Result(0, "green", text, data=data)


def _trial(hands: Hands, plan: Plan, wishes: Wishes, hold_lock: Callable[[str], Any], kind: Kind) -> Result:
    began = time.monotonic()
    trial_id = identity.deployment_id()
    with hold_lock(trial_id), hands.interruption.handling():
        settle(hands)
        with hands.rollback_lock(0.0):
            row = new_row(hands, plan, trial_id, kind)
            hands.ledger.begin(row)
        deployment = Deployment(hands, row)
        remember_previous(deployment)
        steps = bluegreen.trial(deployment, plan, wishes.accepted, only_image=kind is Kind.BUILD)
        hands.report(Began(trial_id, f"{kind} {plan.release} of {hands.manifest.scope}", tuple(s.name for s in steps)))
        runner = Runner(Journal(hands.ledger, trial_id), hands.report, hands.interruption, deployment.check_epoch)
        try:
            runner.run(steps)
        except ReleaseError as error:
            if runner.left_undone:
                deployment.remember(unsettled=runner.left_undone)
            state, _ = outcome_of(error)
            hands.ledger.finish(trial_id, state, error.exit_code, error.message)
            hands.report(Ended(trial_id, state, error.message, time.monotonic() - began))
            raise
        hands.interruption.disarm()
        if left := runner.undo(steps):
            deployment.remember(unsettled=left)
        done = "its image is ready" if kind is Kind.BUILD else "every gate is green; nothing was switched"
        text = f"{plan.release}: {done}"
        hands.ledger.finish(trial_id, DeploymentState.TRIED, 0, text)
        hands.report(Ended(trial_id, DeploymentState.TRIED, text, time.monotonic() - began))
    data = {
        "image": deployment.fact("reference"),
        "image_id": deployment.fact("image_id"),
        "digest": deployment.fact("digest"),
    }
    return Result(0, str(DeploymentState.TRIED), text, trial_id, str(plan.release), data)
