"""The standby: how a release that served could be reached again, and whether it answers. Nothing is started here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from release.config.reach import Reach
from release.engine.base import Instance, State
from release.ledger.records import DeploymentState, ReleaseRow
from release.observe.readiness import probe
from release.rollout import targets

if TYPE_CHECKING:
    from release.naming import Slot
    from release.rollout.hands import Hands

_SERVED = (DeploymentState.LIVE, DeploymentState.UNOBSERVED)


@dataclass(frozen=True)
class Way:
    """How a target would be reached: `warm` a rename, `stopped` a container to resume, `image` one to start.

    A warm one without its `instance` is known from the ledger alone.
    """

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
    mine = hands.engine.instances(hands.scope)
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


def recorded_way(hands: Hands, target: ReleaseRow, slot: Slot, own: str) -> Way | None:
    """The way to a standby that the ledger knows in the slot, for where the engine cannot say what runs; None where it
    knows none. `own` is the run that asks."""
    rows = [row for row in hands.ledger.deployments(limit=50) if row.id != own]
    return Way(target, "warm", slot) if targets.stays_in(slot, rows) == target.name else None


def is_left_alone(hands: Hands, way: Way, own: str) -> bool:
    """False where a run has said, under the traffic lock, that it is about to stop this standby."""
    if way.instance is None:
        return recorded_way(hands, way.release, way.slot, own) is not None
    return not any(way.instance.id in row.facts.get("stopping", []) for row in hands.ledger.deployments(limit=8))


def answers(hands: Hands, target: ReleaseRow, slot: Slot, timeout: float) -> bool:
    """Whether the slot says that it is ready, on the path that the target was deployed with."""
    reach = Reach.kept(target.config) if target.config else hands.reach
    return probe(f"http://127.0.0.1:{hands.reach.port(slot)}{reach.health}", timeout).ready
