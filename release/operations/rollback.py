"""Rollback: the previous good release again. Traffic moves first; everything slow comes after."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from release.config.load import from_ledger, missing_variables
from release.config.model import Manifest
from release.engine.base import Instance, State
from release.errors import LedgerError, ProxyError, Refused, ReleaseError, ServiceError
from release.ledger.records import DeploymentRow, DeploymentState, Kind, ReleaseRow, Standing, StepState, SwitchRow
from release.ledger.store import utc_now
from release.naming import Slot
from release.notify import Occasion
from release.observe.readiness import probe
from release.operations.deploy import Result, live_release
from release.operations.settle import settle
from release.pipeline.events import Began, Ended, Said, StepBegan, StepEnded
from release.proxy.base import Switched, Traffic
from release.rollout import identity, instances, targets
from release.rollout.deployment import Deployment
from release.rollout.hands import Hands
from release.rollout.prepare import runs

PROBE_SECONDS = 0.3


@dataclass(frozen=True)
class Way:
    """How a target would be reached: `warm` a rename, `stopped` a container to resume, `image` one to start."""

    release: ReleaseRow
    how: str  # warm, stopped, image, gone
    slot: Slot
    instance: Instance | None = None

    @property
    def takes(self) -> str:
        return {
            "warm": "warm: one rename",
            "stopped": "cold: its stopped container starts again",
            "image": "cold: a container is started from its image",
            "gone": "not possible: its image is gone (`release deploy` builds or pulls it again)",
        }[self.how]


def rollback(
    hands: Hands, to: str | None, reason: str, try_lock: Callable[[], contextlib.AbstractContextManager[bool]]
) -> Result:
    """Moves traffic to the previous good release, or to `to`. Raises ReleaseError with nothing changed.

    `try_lock()` yields True where the deployment lock could be had: no run is under way, so what a dead one left is
    settled, after traffic has moved.
    """
    began = time.monotonic()
    traffic = hands.proxy.switch.get()
    if traffic is None:
        raise Refused("nothing is live, so there is nothing to roll back", hint="`release deploy TAG`")
    live = live_release(hands, traffic.live)
    releases, deployments = hands.ledger.releases(), hands.ledger.deployments(limit=50)
    choice = targets.choose(live, releases, deployments, to)
    if choice.release is None:
        hands.report(Said(choice.reason))
        return Result(0, "unchanged", choice.reason, None, live)
    forward = targets.is_forward(next((r for r in releases if r.name == live), None), choice.release)
    row = replace(_row(hands, choice.release, live, traffic), facts={"forward": forward, "reason": reason})
    hands.report(Began(row.id, f"roll {hands.manifest.scope} back to {choice.release.name}", ("probe", "switch")))
    with hands.interruption.handling():
        result = _go(hands, row, choice.release, reason, began)
    _tidy(hands, try_lock)
    return result


def ways(hands: Hands) -> list[Way]:
    """Every release that was live or is retained, with what going there would take."""
    traffic = hands.proxy.switch.get()
    live = live_release(hands, traffic.live) if traffic else None
    idle = traffic.live.other if traffic else Slot.BLUE
    mine = hands.engine.instances(hands.manifest.scope)
    rows = [row for row in hands.ledger.releases() if row.last_live_at and row.name != live]
    return [_way(hands, row, idle, mine) for row in rows]


def _way(hands: Hands, row: ReleaseRow, idle: Slot, mine: list[Instance]) -> Way:
    here = [i for i in mine if i.slot is idle and i.release == row.name and i.image_id == row.image_id]
    for instance in here:
        if instance.state is State.RUNNING:
            return Way(row, "warm", idle, instance)
    for instance in here:
        return Way(row, "stopped", idle, instance)
    how = "image" if hands.images.get(row.image_id) is not None else "gone"
    return Way(row, how, idle)


def _row(hands: Hands, target: ReleaseRow, live: str | None, traffic: Traffic) -> DeploymentRow:
    slot = traffic.live.other
    return DeploymentRow(
        id=identity.deployment_id(),
        kind=Kind.ROLLBACK,
        release=target.name,
        state=DeploymentState.RUNNING,
        actor=hands.actor,
        host=identity.host(),
        pid=os.getpid(),
        started_at=utc_now(),
        slot=slot,
        previous_release=live,
        previous_slot=traffic.live,
    )


def _go(hands: Hands, row: DeploymentRow, target: ReleaseRow, reason: str, began: float) -> Result:
    # Intent before effect; a ledger that cannot be written does not stop the way back.
    with _quietly(hands, "the start of this rollback"):
        hands.ledger.begin(row)
    slot = Slot(row.slot or Slot.BLUE)
    way = _way(hands, target, slot, hands.engine.instances(hands.manifest.scope))
    manifest = as_deployed(hands, target)
    try:
        _announce(hands, "probe")
        warm = way.how == "warm" and _answers(manifest, slot, PROBE_SECONDS)
        how = "the warm standby answers" if warm else _cold(hands, row, way, manifest)
        _told(hands, "probe", how, began)
        moved = time.monotonic()
        _announce(hands, "switch")
        switched = _move(hands, row, slot, target.name)
    except BaseException as error:
        with _quietly(hands, "how this rollback ended"):
            code = error.exit_code if isinstance(error, ReleaseError) else 3
            hands.ledger.finish(row.id, DeploymentState.FAILED, code, str(error))
        raise
    _told(hands, "switch", f"traffic is on {slot} ({switched.microseconds:.0f} µs)", moved)
    milliseconds = (time.monotonic() - began) * 1000
    hands.proxy.verify(switched.after)
    _record(hands, row, target, reason)
    left = "stays good" if row.facts.get("forward") else "is withdrawn"
    text = f"{target.name} is live again on {slot}; {row.previous_release} {left}"
    hands.report(Ended(row.id, "live", text, time.monotonic() - began))
    hands.notify(Occasion.ROLLED_BACK, row.previous_release or "", f"{text}. {reason}".strip(), target.name)
    data = {
        "slot": str(slot),
        "previous": row.previous_release,
        "warm": warm,
        "switch_microseconds": switched.microseconds,
        "milliseconds": round(milliseconds, 1),
    }
    return Result(0, "rolled back", text, row.id, target.name, data)


def _move(hands: Hands, row: DeploymentRow, slot: Slot, release: str) -> Switched:
    """Raises the epoch first: a deployment under way reads it before its next effect and ends as superseded."""
    with hands.interruption.shield(), hands.traffic_lock():
        with _quietly(hands, "that this supersedes a running deployment"):
            hands.ledger.raise_epoch()
        switched = hands.proxy.switch.restore(Traffic.all_to(slot, row.id))
    with _quietly(hands, "the switch"):
        before = None if switched.before is None else switched.before.green
        hands.ledger.remember(row.id, switching_at=time.time(), microseconds=switched.microseconds)
        hands.ledger.save_switch(
            SwitchRow(
                row.id, utc_now(), before, switched.after.green, switched.microseconds, release, hands.actor, "rollback"
            )
        )
    return switched


def _record(hands: Hands, row: DeploymentRow, target: ReleaseRow, reason: str) -> None:
    with _quietly(hands, "the outcome of this rollback"):
        left = row.previous_release
        if left is not None and hands.ledger.release(left) is not None and not row.facts.get("forward"):
            hands.ledger.set_standing(left, Standing.WITHDRAWN, reason or f"rolled back to {target.name}", hands.actor)
        hands.ledger.set_standing(target.name, Standing.GOOD, f"rolled back to, from {left}", hands.actor)
        hands.ledger.mark_live(target.name, utc_now())
        hands.ledger.finish(row.id, DeploymentState.LIVE, 0, f"rolled back from {left}")
    for instance in hands.engine.instances(hands.manifest.scope):
        if instance.release == target.name and instance.slot == row.slot and instance.state is State.RUNNING:
            hands.engine.keep(instance.id, True)


def _cold(hands: Hands, row: DeploymentRow, way: Way, manifest: Manifest) -> str:
    """Starts the target in the idle slot, as it was deployed; said aloud, because it takes longer than a rename."""
    target, began = way.release, time.monotonic()
    why = "the warm standby does not answer" if way.how == "warm" else "no warm standby holds it"
    if way.how == "gone":
        raise Refused(f"{target.name} cannot come back: its image is gone", hint=f"`release deploy {target.tag}`")
    hands.report(Said(f"{why}: {target.name} is started cold, which takes as long as it takes to get ready", "warning"))
    for name in missing_variables(target.config, os.environ):
        hands.report(Said(f"the environment lacks {name}, which {target.name} was deployed with", "warning"))
    secrets = instances.read_secrets(manifest)
    changed = instances.changed_secrets(target.secrets, secrets, manifest.scope)
    if changed:
        hands.report(Said(f"secrets changed since {target.name} was deployed: {', '.join(changed)}", "warning"))
    with _quietly(hands, "that this supersedes a running deployment"):
        hands.ledger.raise_epoch()
    stopped = _clear_slot(hands, way)
    try:
        instance = _start(hands, row, way, manifest, secrets)
        _await_health(hands, instance, manifest, way.slot)
    except BaseException:
        _undo_cold(hands, row, stopped)
        raise
    return f"{target.name} started in {way.slot} in {time.monotonic() - began:.1f} s"


def _start(hands: Hands, row: DeploymentRow, way: Way, manifest: Manifest, secrets: Any) -> Instance:
    if way.how == "stopped" and way.instance is not None:
        return hands.engine.resume(way.instance.id)
    target = way.release
    spec = instances.specification(
        manifest,
        release=target.name,
        commit=target.commit,
        deployment=row.id,
        slot=way.slot,
        image_id=target.image_id,
        secrets=secrets,
    )
    return hands.engine.start(spec)


def _clear_slot(hands: Hands, way: Way) -> list[Instance]:
    """Stops what runs in the idle slot; gives what can be started again should this fail."""
    stopped = []
    unfinished = {row.id for row in hands.ledger.unfinished() if row.kind is Kind.DEPLOY}
    for instance in hands.engine.instances(hands.manifest.scope):
        if instance.slot is not way.slot or not runs(instance):
            continue
        if instance.deployment in unfinished or (way.instance is not None and instance.id == way.instance.id):
            hands.engine.remove(instance.id)
            continue
        hands.engine.keep(instance.id, False)
        hands.engine.stop(instance.id, 2.0)
        stopped.append(instance)
    return stopped


def _undo_cold(hands: Hands, row: DeploymentRow, stopped: list[Instance]) -> None:
    for instance in hands.engine.instances(hands.manifest.scope):
        if instance.deployment == row.id:
            hands.engine.remove(instance.id)
    for instance in stopped:
        with contextlib.suppress(ReleaseError):
            hands.engine.resume(instance.id)
            hands.engine.keep(instance.id, True)


def _await_health(hands: Hands, instance: Instance, manifest: Manifest, slot: Slot) -> None:
    end = time.monotonic() + manifest.checks.health.timeout
    while not _answers(manifest, slot, 2.0):
        now = hands.engine.inspect(instance.id)
        if now is None or now.state is not State.RUNNING:
            raise ServiceError(
                f"{instance.release} did not start: {'its container is gone' if now is None else now.state}",
                hint="live was left as it is; `release logs` shows why, `release rollback --list` other targets",
            )
        if time.monotonic() > end:
            raise ServiceError(
                f"{instance.release} was not ready within {manifest.checks.health.timeout:.0f} s",
                hint="live was left as it is; `release rollback --list` shows other targets",
            )
        hands.interruption.sleep(0.1)


def as_deployed(hands: Hands, target: ReleaseRow) -> Manifest:
    """The manifest with which the target was deployed; slots stay where nginx looks for them now."""
    if not target.config:
        return hands.manifest
    was = from_ledger(target.config, os.environ)
    return was.model_copy(update={"slots": hands.manifest.slots, "service": hands.manifest.service})


def finish_forward(deployment: Deployment) -> str:
    """Brings a rollback whose process died to its end."""
    hands, row = deployment.hands, deployment.row
    target = hands.ledger.release(row.release)
    reason = str(deployment.fact("reason", ""))
    traffic = hands.proxy.switch.get()
    moved = traffic is not None and traffic.live == row.slot
    if target is None or (not moved and deployment.fact("switching_at") is not None):
        hands.ledger.finish(row.id, DeploymentState.SUPERSEDED, 6, "traffic was moved by somebody else since")
        return f"{row.id}: a rollback to {row.release} had lost its process, and traffic was moved since; closed"
    if not moved:
        for instance in hands.engine.instances(hands.manifest.scope):
            if instance.deployment == row.id:
                hands.engine.remove(instance.id)
        way = _way(hands, target, Slot(row.slot or Slot.BLUE), hands.engine.instances(hands.manifest.scope))
        manifest = as_deployed(hands, target)
        if not (way.how == "warm" and _answers(manifest, way.slot, PROBE_SECONDS)):
            _cold(hands, row, way, manifest)
        hands.proxy.verify(_move(hands, row, way.slot, target.name).after)
    _record(hands, row, target, reason)
    return f"{row.id}: a rollback to {row.release} had lost its process; it is finished"


def _tidy(hands: Hands, try_lock: Callable[[], contextlib.AbstractContextManager[bool]]) -> None:
    """Traffic has moved; now there is time for what a dead run left behind."""
    try:
        with try_lock() as free:
            if free:
                settle(hands)
    except (LedgerError, ProxyError) as error:
        hands.report(Said(f"what is left is for `release doctor`: {error.message}", "warning"))


@contextlib.contextmanager
def _quietly(hands: Hands, what: str) -> Iterator[None]:
    try:
        yield
    except LedgerError as error:
        hands.report(
            Said(f"the ledger could not record {what} ({error.message}); `release doctor` mends it", "warning")
        )


def _answers(manifest: Manifest, slot: Slot, timeout: float) -> bool:
    url = f"http://127.0.0.1:{manifest.slots.port(slot)}{manifest.checks.health.path}"
    return probe(url, timeout).ready


def _announce(hands: Hands, step: str) -> None:
    hands.report(StepBegan(step))


def _told(hands: Hands, step: str, text: str, since: float) -> None:
    hands.report(StepEnded(step, StepState.DONE, text, time.monotonic() - since))
