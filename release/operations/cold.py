"""Bringing a release back up in the idle slot: how it could be reached, and the cold start where no standby answers."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

from release.config.load import from_ledger
from release.config.model import Manifest
from release.config.secret import Secret
from release.engine.base import Instance, InstanceSpec, State
from release.errors import EngineError, Refused, ReleaseError, ServiceError
from release.ledger.records import DeploymentRow, DeploymentState, Kind, ReleaseRow
from release.naming import Slot
from release.observe.readiness import probe
from release.operations.telling import quietly
from release.pipeline.events import Said
from release.rollout import instances
from release.rollout.hands import Hands
from release.rollout.prepare import runs

_SERVED = (DeploymentState.LIVE, DeploymentState.UNOBSERVED)
_STOP = 2.0  # seconds that what is in the way gets to end; live does not wait for it
_ATTEMPTS = 4  # starts, while a run that was just superseded may still be starting its candidate


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


def ways(hands: Hands, live: str | None, idle: Slot) -> list[Way]:
    """Every release that was live or is retained, with what going there would take."""
    mine = hands.engine.instances(hands.manifest.scope)
    rows = [row for row in hands.ledger.releases() if row.last_live_at and row.name != live]
    return [way_to(hands, row, idle, mine) for row in rows]


def way_to(hands: Hands, target: ReleaseRow, slot: Slot, mine: list[Instance]) -> Way:
    here = [i for i in mine if i.slot is slot and i.release == target.name and i.image_id == target.image_id]
    here = [i for i in here if _served(hands, i)]
    for instance in here:
        if instance.state is State.RUNNING:
            return Way(target, "warm", slot, instance)
    for instance in here:
        return Way(target, "stopped", slot, instance)
    how = "image" if hands.images.get(target.image_id) is not None else "gone"
    return Way(target, how, slot)


def _served(hands: Hands, instance: Instance) -> bool:
    """A candidate that never passed its gates is no standby, even where its release was good another time."""
    row = hands.ledger.deployment(instance.deployment)
    return row is None or row.state in _SERVED


def being_stopped(hands: Hands, instance: Instance) -> bool:
    """True where a run has said, under the traffic lock, that it is about to stop this one."""
    return any(instance.id in row.facts.get("stopping", []) for row in hands.ledger.deployments(limit=8))


def answers(manifest: Manifest, slot: Slot, timeout: float) -> bool:
    url = f"http://127.0.0.1:{manifest.slots.port(slot)}{manifest.checks.health.path}"
    return probe(url, timeout).ready


def as_deployed(hands: Hands, target: ReleaseRow) -> Manifest:
    """The manifest with which the target was deployed; slots stay where nginx looks for them now."""
    if not target.config:
        return hands.manifest
    was = from_ledger(target.config, os.environ)
    return was.model_copy(update={"slots": hands.manifest.slots, "service": hands.manifest.service})


def start(hands: Hands, row: DeploymentRow, way: Way, manifest: Manifest) -> str:
    """Starts the target in the idle slot, as it was deployed; said aloud, because it takes longer than a rename.

    Raises ReleaseError with the slot as it was, as far as that can be had.
    """
    target, began = way.release, time.monotonic()
    why = "the warm standby does not answer" if way.how == "warm" else "no warm standby holds it"
    if way.how == "gone":
        raise Refused(f"{target.name} cannot come back: its image is gone", hint=f"`release deploy {target.tag}`")
    hands.report(Said(f"{why}: {target.name} is started cold, which takes as long as it takes to get ready", "warning"))
    secrets = instances.read_secrets(manifest)
    changed = instances.changed_secrets(target.secrets, secrets, manifest.scope)
    if changed:
        hands.report(Said(f"secrets changed since {target.name} was deployed: {', '.join(changed)}", "warning"))
    with quietly(hands, "that this supersedes a running deployment"), hands.traffic_lock():
        hands.ledger.raise_epoch()
    stopped: list[Instance] = []
    try:
        instance = _start(hands, row, way, manifest, secrets, stopped)
        _await_health(hands, instance, manifest, way.slot)
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
    """A run that was superseded a moment ago may still start its candidate in this slot: then once more."""
    for attempt in range(_ATTEMPTS):
        rivals = _clear_slot(hands, way, stopped)
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


def _clear_slot(hands: Hands, way: Way, stopped: list[Instance]) -> bool:
    """Stops what runs in the idle slot, and notes what can be started again. True where a run is under way there."""
    unfinished = {row.id for row in hands.ledger.unfinished() if row.kind is not Kind.ROLLBACK}
    for instance in hands.engine.instances(hands.manifest.scope):
        if instance.slot is not way.slot or not runs(instance):
            continue
        if instance.deployment in unfinished or (way.instance is not None and instance.id == way.instance.id):
            hands.engine.remove(instance.id)
            continue
        hands.engine.keep(instance.id, False)
        hands.engine.stop(instance.id, _STOP)
        stopped.append(instance)
    return bool(unfinished)


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


def _await_health(hands: Hands, instance: Instance, manifest: Manifest, slot: Slot) -> None:
    end = time.monotonic() + manifest.checks.health.timeout
    while not answers(manifest, slot, 2.0):
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
