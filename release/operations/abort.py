"""Abort: ends the deployment that is under way, with traffic back where it was. With none under way nothing changes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from release.errors import LedgerError, Refused
from release.ledger.records import Kind
from release.observe.readiness import probe
from release.operations.glance import Glance
from release.operations.result import Result
from release.operations.settle import settle
from release.pipeline.events import Said
from release.rollout.deployment import Deployment
from release.rollout.hands import Hands
from release.rollout.switching import put_back, record_switch


def abort(
    hands: Hands, reason: str, try_lock: Callable[[], contextlib.AbstractContextManager[bool]], wait: float = 20.0
) -> Result:
    """Raises the epoch and puts traffic back at once; the run's own process then cleans up and ends as superseded."""
    running = [row for row in hands.ledger.unfinished() if row.kind is not Kind.ROLLBACK]
    if not running:
        text = "no deployment is under way; nothing was changed"
        hands.report(Said(text))
        return Result(0, "unchanged", text)
    deployment = Deployment(hands, running[0])
    _require_way_back(deployment)
    with hands.traffic_lock():
        served = deployment.serves()
        hands.ledger.raise_epoch()
        back = put_back(deployment) if served else None
    if served:
        deployment.remember(left_at=time.time())
    if back is not None:
        record_switch(deployment, back, deployment.row.previous_release or "", "abort")
        hands.proxy.verify(back.after)
    hands.ledger.note("aborted", reason or "aborted", deployment.id, actor=hands.actor)
    _settle_if_dead(hands, try_lock, wait, deployment.id)
    traffic = hands.proxy.switch.get()
    live = Glance(hands).live(traffic) if traffic else None
    moved = "traffic is back; " if served else ""
    text = f"{deployment.release} is aborted; {moved}{live or 'nothing'} is live"
    hands.report(Said(text))
    return Result(0, "aborted", text, deployment.id, live)


def _require_way_back(deployment: Deployment) -> None:
    """Raises Refused where traffic would go back to a release that does not answer."""
    live = deployment.live_target() if deployment.serves() else None
    if live is None:
        return
    answer = probe(f"{live.url}{deployment.hands.manifest.checks.health.path}", 1.0)
    if not answer.ready:
        raise Refused(
            f"{live.release}, the release to go back to, {answer.detail}; nothing was changed",
            hint="`release rollback` starts it again first, and then moves traffic",
        )


def _settle_if_dead(
    hands: Hands, try_lock: Callable[[], contextlib.AbstractContextManager[bool]], wait: float, deployment_id: str
) -> None:
    """Waits a moment for the run to clean up after itself; where its process is dead, this one does it."""
    end = time.monotonic() + wait
    while time.monotonic() < end:
        with try_lock() as free:
            if free:
                settle(hands)
                return
        try:
            row = hands.ledger.deployment(deployment_id)
        except LedgerError:
            return
        if row is not None and row.ended_at is not None:
            return
        time.sleep(0.2)
    hands.report(Said("its process is still cleaning up (draining); `release status` shows when it is done"))
