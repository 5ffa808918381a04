"""Settling: a run without an owner (SIGKILL, a power cut) is brought to a clean end by the next command."""

from __future__ import annotations

import time
from typing import NoReturn

from release.errors import Locked, ReleaseError
from release.ledger.journal import Journal
from release.ledger.records import DeploymentRow, DeploymentState, Kind, Standing, StepState
from release.naming import ReleaseName
from release.operations.finishing import finish_forward
from release.operations.going_back import tend
from release.operations.scratch import sweep
from release.pipeline.events import Said
from release.pipeline.runner import Runner
from release.rollout import bluegreen
from release.rollout.deployment import Deployment
from release.rollout.finish import Retire
from release.rollout.hands import Hands, Plan
from release.rollout.observation import replay
from release.rollout.switching import record_missed


def settle(hands: Hands) -> list[str]:
    """Settles whatever no process owns any more; the caller holds the deployment lock. Returns what was done."""
    lost = [row for row in hands.ledger.unfinished() if row.kind is not Kind.ROLLBACK]
    done = [_settle_one(hands, row) for row in lost]
    done += _settle_rollbacks(hands)
    recent = hands.ledger.deployments(limit=20)
    tried = {row.id for row in lost}  # what could not be undone a moment ago cannot be undone now
    done += [text for row in recent if row.id not in tried and (text := _undo_again(hands, row))]
    done += [text for row in recent[:3] if (text := _finish_forward(hands, row))]
    done += [text for row in recent[:3] if (text := _tend_again(hands, row))]
    sweep(hands)
    for text in done:
        hands.report(Said(text, "warning"))
    return done


def _settle_one(hands: Hands, row: DeploymentRow) -> str:
    deployment = Deployment(hands, row)
    record_missed(deployment)
    journal = Journal(hands.ledger, row.id).last()
    ours = hands.ledger.epoch() == row.epoch  # else somebody asked for the way back, and was cut short as well
    if ours and deployment.serves() and journal.get("switch") is not None:
        return _settle_observation(deployment)
    what = f"{row.id}: the {_NOUNS[row.kind]} of {row.release} had lost its process"
    switched = deployment.fact("switching_at") is not None
    superseded = switched and not ours
    state, code = (DeploymentState.SUPERSEDED, 6) if superseded else (DeploymentState.UNDONE, 5)
    if superseded:
        told = "after a rollback or an abort had taken over; what it left is removed"
    elif switched:
        told = "at its switch; it is undone"
    else:
        told = "before the switch; it is undone" if row.kind is Kind.DEPLOY else "; it is undone"
    return _ended(deployment, set(journal), state, code, f"{what} {told}".replace(" ;", ";"))


def _ended(deployment: Deployment, began: set[str], state: DeploymentState, code: int, text: str) -> str:
    hands, row = deployment.hands, deployment.row
    left = _undo(deployment, began)
    hands.ledger.finish(row.id, state, code, text.partition(": ")[2])
    return f"{text} (not wholly: {', '.join(left)}; the next command tries again)" if left else text


def _settle_observation(deployment: Deployment) -> str:
    """In observation the guard is replayed over the log: it commits, goes back, or holds and asks."""
    hands, row = deployment.hands, deployment.row
    what = f"{row.id}: {row.release} had lost its process in observation"
    decision = replay(deployment, time.time())
    if decision.back:
        hands.ledger.set_standing(row.release, Standing.REJECTED, decision.reason, hands.actor)
        text = f"{what}; {decision.reason}: traffic went back, and the release is rejected"
        return _ended(deployment, set(Journal(hands.ledger, row.id).last()), DeploymentState.REFUSED, 1, text)
    if not decision.complete:
        deployment.remember(unobserved=decision.reason)
    bluegreen.commit(deployment)
    held = "" if decision.complete else f" and unobserved ({decision.reason}; `release accept` or `release rollback`)"
    return f"{what}; it is live{held}"


def _settle_rollbacks(hands: Hands) -> list[str]:
    """A rollback is always finished forward, unless it is under way: then its lock is held."""
    if not any(row.kind is Kind.ROLLBACK for row in hands.ledger.unfinished()):
        return []
    try:
        with hands.rollback_lock(0.0):
            rows = [row for row in hands.ledger.unfinished() if row.kind is Kind.ROLLBACK]
            return [finish_forward(Deployment(hands, row)) for row in rows]
    except Locked:
        return []


def _undo(deployment: Deployment, began: set[str]) -> list[str]:
    """Undoes these steps; gives those that could not be, and notes them for the next command."""
    hands = deployment.hands
    plan = Plan(ReleaseName(deployment.release, "0" * 7), "", lambda _: None, _never, [])
    steps = [step for step in bluegreen.steps(deployment, plan, {}) if step.name in began]
    left = Runner(Journal(hands.ledger, deployment.id), hands.report, hands.interruption, lambda: None).undo(steps)
    if left or deployment.fact("unsettled"):
        deployment.remember(unsettled=left)
    return left


def _never(*_: object) -> NoReturn:
    raise AssertionError("undo obtains no image")


def _undo_again(hands: Hands, row: DeploymentRow) -> str | None:
    """A run that ended while something could not be undone (the engine was away): that is done now."""
    wanted = row.facts.get("unsettled")
    if not wanted or row.state is DeploymentState.RUNNING:
        return None
    left = _undo(Deployment(hands, row), set(wanted))
    if left:
        return f"{row.id}: {', '.join(left)} of {row.release} can still not be undone"
    return f"{row.id}: what could not be undone of {row.release} ({', '.join(wanted)}) is undone now"


def _finish_forward(hands: Hands, row: DeploymentRow) -> str | None:
    """After the commit nothing is undone; what was left to do is done now."""
    done = row.state in (DeploymentState.LIVE, DeploymentState.UNOBSERVED) and row.kind is Kind.DEPLOY
    if not done or row.facts.get("retired"):
        return None
    deployment = Deployment(hands, row)
    if not deployment.serves():
        deployment.remember(retired=True)
        return None
    hook = _after_commit(deployment)
    try:
        Retire(deployment).run()
    except ReleaseError as error:
        return f"{row.id}: retiring the release before {row.release} failed: {error.message}{hook}"
    return f"{row.id}: what the deployment of {row.release} had left to retire is retired{hook}"


def _tend_again(hands: Hands, row: DeploymentRow) -> str | None:
    """What a rollback could not do for its release while the engine was away."""
    if row.kind is not Kind.ROLLBACK or row.state is DeploymentState.RUNNING or not row.facts.get("untended"):
        return None
    if Deployment(hands, row).serves() and not tend(hands, row):
        return None
    hands.ledger.remember(row.id, untended=False)
    return f"{row.id}: the engine answers again and knows of the rollback to {row.release}"


def _after_commit(deployment: Deployment) -> str:
    """The hook that follows the commit, where it had not begun; one that was cut short is not run twice."""
    hook, name = deployment.hands.manifest.hooks.after_commit, "after_commit"
    if hook is None or not deployment.tree.is_dir():
        return ""
    journal = Journal(deployment.hands.ledger, deployment.id)
    state = journal.last().get(name)
    if state is StepState.STARTED:
        return "; its after_commit hook was cut short and is not repeated: look whether its work is done"
    if state is not None:
        return ""
    steps = [step for step in bluegreen.steps_after(deployment) if step.name == name]
    hands = deployment.hands
    failed = Runner(journal, hands.report, hands.interruption, lambda: None).finish(steps)
    return "; its after_commit hook failed" if failed else "; its after_commit hook has run"


_NOUNS = {Kind.DEPLOY: "deployment", Kind.BUILD: "build", Kind.CHECK: "check", Kind.ROLLBACK: "rollback"}
