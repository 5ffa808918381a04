"""The steps that touch traffic: push (after the gates), switch, and its way back."""

from __future__ import annotations

import time

from release.errors import LedgerError, ProxyError, Refused, RegistryError
from release.image.store import Image
from release.ledger.records import Kind, SwitchRow
from release.ledger.store import utc_now
from release.observe.readiness import probe
from release.pipeline.events import Said, StepProgress
from release.pipeline.step import Skip
from release.proxy.base import Switched, Traffic
from release.rollout.deployment import Deployment


class Push:
    """Pushes the image once every gate is green, never before, and reads the digest back."""

    name = "push"
    commits = False

    def __init__(self, deployment: Deployment, snapshot: bool) -> None:
        self._deployment, self._snapshot = deployment, snapshot

    def run(self) -> str | Skip:
        deployment, hands = self._deployment, self._deployment.hands
        if not hands.manifest.registry.push:
            return Skip("registry.push is off")
        if self._snapshot:
            return Skip("a snapshot is never pushed")
        if hands.registry is None:
            raise RegistryError(
                "registry.push is on and the engine has no registry", hint="use `engine: {kind: docker}`"
            )
        image = hands.images.get(deployment.fact("image_id"))
        if image is None:
            raise RegistryError(f"the image of {deployment.release} is gone from the engine", hint="deploy again")
        digest = self._push(image)
        hands.ledger.set_digest(deployment.release, digest)
        deployment.remember(digest=digest)
        return f"{image.reference}@{digest[:19]}"

    def _push(self, image: Image) -> str:
        hands = self._deployment.hands

        def progress(line: str) -> None:
            hands.report(StepProgress(self.name, line))
            hands.interruption.check()

        assert hands.registry is not None
        return hands.registry.push(image, progress)

    def undo(self) -> str | None:
        return None


class Switch:
    """Moves all traffic to the candidate: one rename, verified by what answers."""

    name = "switch"
    commits = False

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    def run(self) -> str | Skip:
        deployment, hands = self._deployment, self._deployment.hands
        target = Traffic.all_to(deployment.slot, deployment.id)
        before = deployment.traffic()
        back = before.green if before is not None else target.green
        hands.proxy.switch.prepare(deployment.id, sorted({target.green, back, 0, 1000}))
        hands.engine.keep(deployment.fact("candidate"), True)
        with hands.interruption.shield():
            deployment.remember(before_green=None if before is None else before.green, switching_at=time.time())
            switched = self._move(target)
            deployment.remember(switched_at=time.time(), microseconds=switched.microseconds)
        hands.proxy.verify(target)
        return f"traffic is on {deployment.slot} ({switched.microseconds:.0f} µs)"

    def _move(self, target: Traffic) -> Switched:
        """Under the traffic lock nobody else moves traffic, so the epoch read there still holds at the rename."""
        deployment, hands = self._deployment, self._deployment.hands
        with hands.traffic_lock():
            deployment.check_epoch()
            switched = hands.proxy.switch.set(target)
        record_switch(deployment, switched, deployment.release, "deploy")
        return switched

    def undo(self) -> str | None:
        deployment, hands = self._deployment, self._deployment.hands
        if deployment.serves():
            self._require_way_back()
        with hands.traffic_lock():
            if deployment.fact("switching_at") is None or not deployment.holds_traffic():
                self._forget()
                return None
            switched = put_back(deployment)
        try:
            deployment.remember(left_at=time.time())
        except LedgerError as error:
            hands.report(Said(f"the ledger could not record the way back: {error.message}", "warning"))
        if switched is None:
            return "no traffic is served: there was no release before this one"
        record_switch(deployment, switched, deployment.row.previous_release or "", "undo")
        deployment.proxy.verify(switched.after)
        return f"traffic is back on {switched.after.live} ({switched.microseconds:.0f} µs)"

    def _require_way_back(self) -> None:
        """Raises Refused where what served before is dead and the candidate is not: going back would end it all."""
        deployment, path = self._deployment, self._deployment.hands.manifest.checks.health.path
        live = deployment.live_target()
        if live is None or any(probe(f"{live.url}{path}", 0.7).ready for _ in range(2)):
            return
        if probe(f"{deployment.candidate_target().url}{path}", 0.7).ready:
            raise Refused(
                f"{live.release}, which served before, does not answer: traffic stays on {deployment.release}",
                hint="`release rollback` starts it again first, and then moves traffic",
            )

    def _forget(self) -> None:
        """What was prepared for a switch that did not last. Under the traffic lock: nobody prepares anything now."""
        ledger = self._deployment.hands.ledger
        keep = [row.id for row in ledger.deployments(limit=9) if row.id != self._deployment.id]
        self._deployment.hands.proxy.switch.forget(keep)


def put_back(deployment: Deployment) -> Switched | None:
    """Restores what served before this deployment's switch. The caller holds the traffic lock."""
    switch = deployment.proxy.switch
    before = deployment.fact("before_green")
    if before is None:
        switch.clear()
        return None
    return switch.restore(Traffic(int(before), f"{deployment.id}"))


def record_missed(deployment: Deployment) -> None:
    """A process that was killed between its rename and the record of it: whoever settles the run records it now."""
    try:
        traffic = deployment.traffic()
    except ProxyError:
        return
    if traffic is None or traffic.owner != deployment.id:
        return
    known = deployment.hands.ledger.switches(limit=1, deployment=deployment.id)
    if known and known[0].after == traffic.green:
        return
    before = deployment.fact("before_green")
    switched = Switched(None if before is None else Traffic(int(before), deployment.id), traffic, 0.0)
    if traffic.share(deployment.slot) == 0:
        record_switch(deployment, switched, deployment.row.previous_release or "", "undo")
        return
    if deployment.fact("switched_at") is None:
        deployment.remember(switched_at=deployment.fact("switching_at"))
    reason = "rollback" if deployment.row.kind is Kind.ROLLBACK else "deploy"
    record_switch(deployment, switched, deployment.release, reason)


def record_switch(deployment: Deployment, switched: Switched, release: str, reason: str) -> None:
    hands = deployment.hands
    try:
        hands.ledger.save_switch(
            SwitchRow(
                deployment=deployment.id,
                at=utc_now(),
                before=None if switched.before is None else switched.before.green,
                after=switched.after.green,
                microseconds=switched.microseconds,
                release=release,
                actor=hands.actor,
                reason=reason,
            )
        )
    except LedgerError as error:
        hands.report(Said(f"traffic moved, and the ledger could not record it: {error.message}", "warning"))
