"""A rollback whose process died is finished forward: asked for once, it is not given up."""

from __future__ import annotations

import time

from release.errors import ProxyError, ReleaseError
from release.ledger.records import DeploymentRow, DeploymentState
from release.operations import cold, going_back
from release.operations.glance import Glance
from release.operations.result import live_release
from release.proxy.base import Traffic
from release.rollout.deployment import Deployment
from release.rollout.hands import Hands
from release.rollout.switching import record_missed


def finish_forward(deployment: Deployment) -> str:
    """Brings a rollback whose process died to its end; where it cannot be had, closes it and says why."""
    hands, row = deployment.hands, deployment.row
    lost = f"{row.id}: a rollback to {row.release} had lost its process"
    target = hands.ledger.release(row.release)
    traffic = _traffic_or_none(hands)
    moved = traffic is not None and _is_its(hands, row, traffic)
    if target is None or (traffic is not None and not moved and traffic.owner != deployment.fact("owner_before")):
        cold.remove_own(hands, row)
        hands.ledger.finish(row.id, DeploymentState.SUPERSEDED, 6, "traffic was moved by somebody else since")
        return f"{lost}, and traffic was moved since; closed"
    try:
        if not moved:
            cold.remove_own(hands, row)
            switched, _ = going_back.switch(hands, row, target, time.monotonic(), Glance(hands))
            hands.front.verify(switched.after)
        record_missed(deployment)
        going_back.record(hands, row, target, str(deployment.fact("reason", "")))
        going_back.tend(hands, row)
    except ReleaseError as error:
        hands.ledger.finish(row.id, DeploymentState.FAILED, error.exit_code, error.message)
        return f"{lost}, and cannot be finished ({error.message}); what served before serves on"
    return f"{lost}; it is finished"


def _traffic_or_none(hands: Hands) -> Traffic | None:
    try:
        return hands.front.switch.get()
    except ProxyError:
        return None


def _is_its(hands: Hands, row: DeploymentRow, traffic: Traffic) -> bool:
    """On a full disk a switch takes whatever flags lie there, and they name another owner."""
    return traffic.owner == row.id or (traffic.live == row.slot and live_release(hands, traffic.live) == row.release)
