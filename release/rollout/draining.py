"""Draining: what had traffic runs on until the requests that began before it left are over."""

from __future__ import annotations

import time

from release.errors import Interrupted
from release.pipeline.events import Said
from release.rollout.deployment import Deployment, unix


def drain(deployment: Deployment) -> None:
    """A request that began before traffic left may still run: nothing that received traffic is stopped before that.

    Nothing waits where nothing of it runs any more. A second signal leaves the rest to the next command.
    """
    left_at, hands = deployment.left_at(), deployment.hands
    if left_at is None or not any(i.runs for i in deployment.own_instances()):
        return
    end = time.monotonic() + min(left_at + hands.manifest.drain - time.time(), hands.manifest.drain)
    if (remaining := end - time.monotonic()) > 0.5:
        hands.report(Said(f"draining {deployment.release} for {remaining:.0f} s before its container goes"))
    while (remaining := end - time.monotonic()) > 0:
        if hands.interruption.count > 1:
            raise Interrupted("a second signal ended the draining", hint="the next command removes what is left")
        time.sleep(min(remaining, 0.2))


def await_drained(deployment: Deployment) -> None:
    """Waits until requests that began before traffic last left the idle slot are over: its standby will be stopped."""
    hands = deployment.hands
    last = hands.ledger.switches(limit=1)
    remaining = 0.0 if not last else unix(last[0].at) + hands.manifest.drain - time.time()
    standby = [i for i in hands.engine.instances(hands.manifest.scope) if i.slot is deployment.slot and i.runs]
    if standby and remaining > 0:
        remaining = min(remaining, hands.manifest.drain)
        hands.report(Said(f"{standby[0].release} had traffic a moment ago: draining it for {remaining:.1f} s"))
        deployment.wait(remaining)
