"""Bringing a release back up in the idle slot: the cold start where no standby answers."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping

from release.config.manifest import Manifest
from release.config.secret import Secret
from release.config.stored import from_ledger
from release.engine.base import Instance, InstanceSpec, State
from release.errors import EngineError, Refused, ReleaseError, ServiceError
from release.ledger.records import DeploymentRow, ReleaseRow
from release.operations.standby import Way, answers
from release.operations.telling import quietly
from release.pipeline.events import Said
from release.rollout import instances
from release.rollout.hands import Hands

_STOP = 2.0  # seconds that what is in the way gets to end; live does not wait for it
_ATTEMPTS = 4  # starts, while a run that was just superseded may still be starting its candidate


def as_deployed(hands: Hands, target: ReleaseRow) -> Manifest:
    """The manifest with which the target was deployed; slots stay where nginx looks for them now."""
    if not target.config:
        return hands.manifest
    was = from_ledger(target.config, os.environ)
    return was.model_copy(update={"slots": hands.manifest.slots, "service": hands.manifest.service})


def start(hands: Hands, row: DeploymentRow, way: Way) -> str:
    """Starts the target in the idle slot, as it was deployed; said aloud, because it takes longer than a rename.

    Raises ReleaseError with the slot as it was, as far as that can be had.
    """
    target, began = way.release, time.monotonic()
    why = "the warm standby does not answer" if way.how == "warm" else "no warm standby holds it"
    if way.how == "gone":
        raise Refused(f"{target.name} cannot come back: its image is gone", hint=f"`release deploy {target.tag}`")
    hands.report(Said(f"{why}: {target.name} is started cold, which takes as long as it takes to get ready", "warning"))
    manifest = as_deployed(hands, target)
    secrets = instances.read_secrets(manifest)
    changed = instances.changed_secrets(target.secrets, secrets, manifest.scope)
    if changed:
        hands.report(Said(f"secrets changed since {target.name} was deployed: {', '.join(changed)}", "warning"))
    with quietly(hands, "that this supersedes a running deployment"), hands.traffic_lock():
        hands.ledger.raise_epoch()
    stopped: list[Instance] = []
    try:
        instance = _start(hands, row, way, manifest, secrets, stopped)
        _await_health(hands, instance, way, manifest.checks.health.timeout)
    except BaseException:
        _undo(hands, row, way, stopped)
        raise
    return f"{target.name} started in {way.slot} in {time.monotonic() - began:.1f} s"


def remove_own(hands: Hands, row: DeploymentRow) -> None:
    """Containers that this rollback started."""
    for instance in hands.engine.instances(hands.manifest.scope):
        if instance.deployment == row.id:
            hands.engine.remove(instance.id)


def _start(
    hands: Hands,
    row: DeploymentRow,
    way: Way,
    manifest: Manifest,
    secrets: Mapping[str, Secret],
    stopped: list[Instance],
) -> Instance:
    """What was superseded a moment ago, or has died, may still be starting a container in this slot: then once more."""
    for attempt in range(_ATTEMPTS):
        rivals = _clear_slot(hands, row, way, stopped)
        try:
            if way.how == "stopped" and way.instance is not None:
                return hands.engine.resume(way.instance.id)
            return hands.engine.start(_specification(row, way, manifest, secrets))
        except EngineError:
            if not rivals or attempt == _ATTEMPTS - 1:
                raise
            hands.interruption.sleep(0.3)
    raise AssertionError("unreachable")


def _specification(row: DeploymentRow, way: Way, manifest: Manifest, secrets: Mapping[str, Secret]) -> InstanceSpec:
    target = way.release
    return instances.specification(
        manifest,
        release=target.name,
        commit=target.commit,
        deployment=row.id,
        slot=way.slot,
        image_id=target.image_id,
        secrets=secrets,
    )


def _clear_slot(hands: Hands, row: DeploymentRow, way: Way, stopped: list[Instance]) -> bool:
    """Stops what runs in the idle slot, and notes what can be started again. True where another run is unfinished.

    One that never ran is on its way up for a run that died, or that this one supersedes: the engine goes on starting
    it after its caller is gone, and it would take the port. It is no way back, and goes.
    """
    unfinished = {other.id for other in hands.ledger.unfinished()} - {row.id}
    for instance in hands.engine.instances(hands.manifest.scope):
        if instance.slot is not way.slot or (way.how == "stopped" and _is(instance, way)):
            continue
        if instance.deployment in unfinished or instance.state is State.CREATED or _is(instance, way):
            hands.engine.remove(instance.id)
        elif instance.runs:
            hands.engine.keep(instance.id, False)
            hands.engine.stop(instance.id, _STOP)
            stopped.append(instance)
    return bool(unfinished)


def _is(instance: Instance, way: Way) -> bool:
    return way.instance is not None and instance.id == way.instance.id


def _undo(hands: Hands, row: DeploymentRow, way: Way, stopped: list[Instance]) -> None:
    with contextlib.suppress(ReleaseError):
        remove_own(hands, row)
    if way.how == "stopped" and way.instance is not None:
        with contextlib.suppress(ReleaseError):
            hands.engine.stop(way.instance.id, _STOP)
    for instance in stopped:
        with contextlib.suppress(ReleaseError):
            hands.engine.resume(instance.id)
            hands.engine.keep(instance.id, True)


def _await_health(hands: Hands, instance: Instance, way: Way, timeout: float) -> None:
    end = time.monotonic() + timeout
    while not answers(hands, way.release, way.slot, 2.0):
        now = hands.engine.inspect(instance.id)
        if now is None or now.state is not State.RUNNING:
            raise ServiceError(
                f"{instance.release} did not start: {'its container is gone' if now is None else now.state}",
                hint="live was left as it is; `release logs` shows why, `release rollback --list` other targets",
            )
        if time.monotonic() > end:
            raise ServiceError(
                f"{instance.release} was not ready within {timeout:.0f} s",
                hint="live was left as it is; `release rollback --list` shows other targets",
            )
        hands.interruption.sleep(0.1)
