"""Settling: a run without an owner (SIGKILL, a power cut) is brought to a clean end by the next command."""

from __future__ import annotations

import time

from release.errors import ReleaseError
from release.image.build import Obtained
from release.ledger.journal import Journal
from release.ledger.records import DeploymentRow, DeploymentState, Kind, StepState
from release.naming import ReleaseName
from release.pipeline.events import Said
from release.pipeline.runner import Runner
from release.rollout import bluegreen
from release.rollout.deployment import Deployment
from release.rollout.finish import Retire
from release.rollout.hands import Hands, Plan
from release.rollout.observation import replay


def settle(hands: Hands) -> list[str]:
    """Settles whatever no process owns any more; the caller holds the deployment lock. Returns what was done."""
    done = [_settle_one(hands, row) for row in hands.ledger.unfinished()]
    done += [text for row in hands.ledger.deployments(limit=3) if (text := _finish_forward(hands, row))]
    for text in done:
        hands.report(Said(text, "warning"))
    return done


def _settle_one(hands: Hands, row: DeploymentRow) -> str:
    deployment = Deployment(hands, row)
    if row.kind is Kind.ROLLBACK:
        return _settle_rollback(deployment)
    journal = Journal(hands.ledger, row.id).last()
    if deployment.serves() and journal.get("switch") is not None:
        return _settle_observation(deployment)
    _undo(deployment, set(journal))
    hands.ledger.finish(row.id, DeploymentState.UNDONE, 5, "its process ended before the switch; undone")
    return f"{row.id}: the deployment of {row.release} had lost its process before the switch; it is undone"


def _settle_observation(deployment: Deployment) -> str:
    """In observation the guard is replayed over the log: it commits, goes back, or holds and asks."""
    hands, row = deployment.hands, deployment.row
    decision = replay(deployment, time.time())
    if decision.back:
        _undo(deployment, set(Journal(hands.ledger, row.id).last()))
        hands.ledger.finish(row.id, DeploymentState.REFUSED, 1, decision.reason)
        return f"{row.id}: {row.release} had lost its process in observation; {decision.reason}: traffic went back"
    if not decision.complete:
        deployment.remember(unobserved=decision.reason)
    bluegreen.commit(deployment)
    held = "" if decision.complete else f" and unobserved ({decision.reason}; `release accept` or `release rollback`)"
    return f"{row.id}: {row.release} had lost its process in observation; it is live{held}"


def _settle_rollback(deployment: Deployment) -> str:
    """A rollback is always finished forward."""
    from release.operations.rollback import finish_forward

    return finish_forward(deployment)


def _undo(deployment: Deployment, began: set[str]) -> None:
    hands = deployment.hands
    plan = Plan(ReleaseName(deployment.release, "0" * 7), "", lambda _: None, _never, [])
    steps = [step for step in bluegreen.steps(deployment, plan, {}, lambda *_: "") if step.name in began]
    Runner(Journal(hands.ledger, deployment.id), hands.report, hands.interruption, lambda: None).undo(steps)


def _never(*_: object) -> Obtained:
    raise AssertionError("undo obtains no image")


def _finish_forward(hands: Hands, row: DeploymentRow) -> str | None:
    """After the commit nothing is undone; what was left to retire is retired now."""
    done = row.state in (DeploymentState.LIVE, DeploymentState.UNOBSERVED) and row.kind is Kind.DEPLOY
    if not done or row.facts.get("retired"):
        return None
    deployment = Deployment(hands, row)
    if not deployment.serves():
        deployment.remember(retired=True)
        return None
    try:
        Retire(deployment).run()
    except ReleaseError as error:
        return f"{row.id}: retiring the release before {row.release} failed: {error.message}"
    return f"{row.id}: what the deployment of {row.release} had left to retire is retired"


__all__ = ["StepState", "settle"]
