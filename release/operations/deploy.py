"""Deploy: from a tag to live traffic, or back to exactly what was before."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from release.errors import Interrupted, Refused, ReleaseError, Superseded, UsageError
from release.ledger.journal import Journal
from release.ledger.records import DeploymentRow, DeploymentState, Kind, Standing
from release.ledger.store import utc_now
from release.naming import Slot
from release.notify import Occasion
from release.operations.result import Result, live_release
from release.operations.settle import settle
from release.pipeline.events import Began, Ended, Said
from release.pipeline.runner import Runner
from release.rollout import bluegreen, freeze, identity
from release.rollout.deployment import Deployment
from release.rollout.hands import Hands, Plan


@dataclass(frozen=True)
class Wishes:
    """What the person asked for beyond the tag. `accepted` maps a check to the reason why no data is good enough."""

    accepted: Mapping[str, str] = field(default_factory=dict)
    again: bool = False  # deploy even where exactly this release is live
    ignore_freeze: str | None = None  # a person's reason for deploying within a freeze window


def deploy(hands: Hands, plan: Plan, wishes: Wishes, hold_lock: Callable[[str], Any]) -> Result:
    """Runs the whole pipeline. Raises the ReleaseError that ended it, with everything undone and recorded.

    `hold_lock(deployment_id)` is a context manager around the deployment lock; it raises Locked.
    """
    began = time.monotonic()
    deployment_id = identity.deployment_id()
    if wishes.ignore_freeze is None:
        freeze.require_open(hands.manifest.freeze, datetime.now())
    with hold_lock(deployment_id), hands.interruption.handling():
        settle(hands)
        _require_own_state(hands)
        with hands.rollback_lock(0.0):  # one under way would lose its slot to this run; a later one raises the epoch
            row = new_row(hands, plan, deployment_id, Kind.DEPLOY)
            if row.previous_release == str(plan.release) and not wishes.again:
                text = f"{plan.release} is live already; nothing to do (--again deploys it once more)"
                hands.report(Said(text))
                return Result(0, "live", text, None, str(plan.release))
            hands.ledger.begin(row)
        return _run(Deployment(hands, row), plan, wishes, began)


def _run(deployment: Deployment, plan: Plan, wishes: Wishes, began: float) -> Result:
    hands = deployment.hands
    steps = bluegreen.steps(deployment, plan, wishes.accepted)
    after = bluegreen.steps_after(deployment)
    names = tuple(step.name for step in (*steps, *after))
    runner = Runner(Journal(hands.ledger, deployment.id), hands.report, hands.interruption, deployment.check_epoch)
    try:
        hands.report(Began(deployment.id, f"deploy {plan.release} to {hands.manifest.scope}", names))
        if wishes.ignore_freeze is not None:
            hands.ledger.note("freeze ignored", wishes.ignore_freeze, deployment.id, actor=hands.actor)
        remember_previous(deployment)
        runner.run(steps)
    except BaseException as error:
        hands.interruption.disarm()
        ended = _ended(deployment, error, began, runner.left_undone)
        raise ended from None if isinstance(error, ReleaseError) else error
    runner.finish(after)
    return _committed(deployment, began)


def _committed(deployment: Deployment, began: float) -> Result:
    hands, seconds = deployment.hands, time.monotonic() - began
    unobserved = deployment.fact("unobserved")
    outcome = DeploymentState.UNOBSERVED if unobserved else DeploymentState.LIVE
    replaced = f", {deployment.row.previous_release} before it" if deployment.row.previous_release else ""
    text = f"{deployment.release} is live on {deployment.slot}{replaced}"
    if unobserved:
        text += f"; unobserved: {unobserved}"
    hands.report(Ended(deployment.id, outcome, text, seconds))
    hands.notify(Occasion.DEPLOYED, deployment.release, text, deployment.release)
    data = {
        "slot": str(deployment.slot),
        "previous": deployment.row.previous_release,
        "seconds": round(seconds, 3),
        "switch_microseconds": deployment.fact("microseconds"),
    }
    return Result(7 if unobserved else 0, outcome, text, deployment.id, deployment.release, data)


def _ended(deployment: Deployment, error: BaseException, began: float, left: list[str]) -> ReleaseError:
    """Records how a run ended that did not commit, and tells those who want to know. `left` could not be undone."""
    hands = deployment.hands
    if not isinstance(error, ReleaseError):
        error = ReleaseError(f"{type(error).__name__}: {error}", hint="this is a defect of the toolkit: report it")
    error = _superseded(deployment, error)
    state, occasion = outcome_of(error)
    served = deployment.fact("switched_at") is not None
    try:
        if isinstance(error, Refused):
            reason = error.message
            row = hands.ledger.release(deployment.release)
            if (row is not None and row.standing in (Standing.NEW, Standing.UNOBSERVED)) or served:
                hands.ledger.set_standing(deployment.release, Standing.REJECTED, reason, hands.actor)
        if left:
            deployment.remember(unsettled=left)
            text = f"{', '.join(left)} could not be undone; the next command, or `release doctor --mend`, tries again"
            hands.report(Said(text, "warning"))
        hands.ledger.finish(deployment.id, state, error.exit_code, error.message)
    except ReleaseError as problem:
        hands.report(Said(f"the ledger could not record how this ended: {problem.message}", "warning"))
    live = _live_now(deployment)
    text = f"{deployment.release} is {state}: {error.message}. " + (f"{live} is live." if live else "Nothing is live.")
    hands.report(Ended(deployment.id, state, text, time.monotonic() - began))
    tripped = served and occasion is Occasion.REFUSED
    hands.notify(Occasion.TRIPPED if tripped else occasion, deployment.release, error.message, live)
    error.context.setdefault("deployment", deployment.id)
    return error


def _superseded(deployment: Deployment, error: ReleaseError) -> ReleaseError:
    """What a rollback took away under a running step makes that step fail: the rollback is the reason to tell."""
    if isinstance(error, (Superseded, Interrupted)):
        return error
    try:
        deployment.check_epoch()
    except Superseded as reason:
        reason.context["during"] = error.message
        return reason
    except ReleaseError:
        pass
    return error


def _live_now(deployment: Deployment) -> str | None:
    """What serves after all; where that cannot be asked, what served before this run."""
    hands = deployment.hands
    try:
        traffic = hands.proxy.switch.get()
        return None if traffic is None else live_release(hands, traffic.live)
    except ReleaseError:
        return deployment.row.previous_release


def outcome_of(error: ReleaseError) -> tuple[DeploymentState, Occasion]:
    if isinstance(error, Superseded):
        return DeploymentState.SUPERSEDED, Occasion.SUPERSEDED
    if isinstance(error, Interrupted):
        return DeploymentState.UNDONE, Occasion.FAILED
    if isinstance(error, Refused):
        return DeploymentState.REFUSED, Occasion.REFUSED
    return DeploymentState.FAILED, Occasion.FAILED


def new_row(hands: Hands, plan: Plan, run_id: str, kind: Kind) -> DeploymentRow:
    """A run as it begins: its candidate goes where nothing serves; what serves is what it is compared with."""
    traffic = hands.proxy.switch.get()
    slot = Slot.BLUE if traffic is None else traffic.live.other
    previous = None if traffic is None else live_release(hands, traffic.live)
    return DeploymentRow(
        id=run_id,
        kind=kind,
        release=str(plan.release),
        state=DeploymentState.RUNNING,
        actor=hands.actor,
        host=identity.host(),
        pid=os.getpid(),
        started_at=utc_now(),
        slot=slot,
        previous_release=previous,
        previous_slot=None if traffic is None else traffic.live,
        epoch=hands.ledger.epoch(),
    )


def _require_own_state(hands: Hands) -> None:
    """`a-b` without an environment and `a` in the environment `b` share one name, and must not share one state."""
    for known in hands.ledger.releases()[:1]:
        theirs = (known.config.get("service"), known.config.get("environment"))
        if known.config and theirs != (hands.manifest.service, hands.manifest.environment):
            raise UsageError(
                f"{hands.state.path} belongs to service {theirs[0]} in environment {theirs[1] or '(none)'}",
                hint="rename this service or its environment: both together name state, containers and images",
            )


def remember_previous(deployment: Deployment) -> None:
    previous = deployment.row.previous_release
    row = deployment.hands.ledger.release(previous) if previous else None
    deployment.remember(previous_image=row.image_id if row else "", config=deployment.hands.config)
