"""The act of going back: traffic on a former release, warm or cold, and the ledger told of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from release.engine.base import Instance, State
from release.errors import EngineError
from release.ledger.records import DeploymentRow, DeploymentState, ReleaseRow, Standing, SwitchRow
from release.ledger.store import utc_now
from release.naming import Slot
from release.operations import standby
from release.operations.glance import Glance
from release.operations.standby import Way
from release.operations.telling import announce, quietly, told
from release.pipeline.events import Said
from release.proxy.base import Switched, Traffic

if TYPE_CHECKING:
    from release.rollout.hands import Hands

PROBE_SECONDS = 0.3
_WITHDRAWABLE = (Standing.NEW, Standing.GOOD, Standing.UNOBSERVED)


def switch(hands: Hands, row: DeploymentRow, target: ReleaseRow, began: float, glance: Glance) -> tuple[Switched, bool]:
    """Traffic is on the target; whether it was a warm standby."""
    slot = Slot(row.slot or Slot.BLUE)
    announce(hands, "probe")
    way = _way(hands, row, target, slot, glance)
    switched = None
    if way is not None and way.how == "warm" and standby.answers(hands, target, slot, PROBE_SECONDS):
        told(hands, "probe", "the warm standby answers", began)
        moved = _announced(hands)
        switched = _move(hands, row, slot, target.name, way)
    warm = switched is not None
    if switched is None:
        from release.operations import cold

        if way is None or (way.how, way.instance) == ("warm", None):
            way = standby.way_to(hands, target, slot, _in_its_own_time(glance))
        told(hands, "probe", cold.start(hands, row, way), began)
        moved = _announced(hands)
        switched = _move(hands, row, slot, target.name)
    assert switched is not None
    told(hands, "switch", f"traffic is on {slot} ({switched.microseconds:.0f} µs)", moved)
    return switched, warm


def _way(hands: Hands, row: DeploymentRow, target: ReleaseRow, slot: Slot, glance: Glance) -> Way | None:
    """By the engine where it answers soon; else by the ledger, which knows no more than warm standbys."""
    mine = glance.soon()
    if mine is not None:
        return standby.way_to(hands, target, slot, mine)
    way = standby.recorded_way(hands, target, slot, row.id)
    if way is not None:
        hands.report(Said("the engine does not answer; the standby itself is asked whether it is ready", "warning"))
    return way


def _in_its_own_time(glance: Glance) -> list[Instance]:
    try:
        return glance.whole()
    except EngineError as error:
        text = f"{error.message}, and no warm standby does either: nothing was changed"
        raise EngineError(text, hint=error.hint, **error.context) from error


def _announced(hands: Hands) -> float:
    announce(hands, "switch")
    return time.monotonic()


def _move(hands: Hands, row: DeploymentRow, slot: Slot, release: str, warm: Way | None = None) -> Switched | None:
    """Raises the epoch first: a deployment under way reads it before its next effect and ends as superseded.

    None where such a run has begun to stop the standby. Once traffic has moved, a signal ends nothing any more.
    """
    with hands.interruption.shield(), hands.traffic_lock():
        with quietly(hands, "that this supersedes a running deployment"):
            hands.ledger.raise_epoch()
        if warm is not None and not standby.is_left_alone(hands, warm, row.id):
            return None
        switched = hands.front.switch.restore(Traffic.all_to(slot, row.id))
        hands.interruption.disarm()
    with quietly(hands, "the switch"):
        before = None if switched.before is None else switched.before.green
        hands.ledger.save_switch(
            SwitchRow(
                row.id, utc_now(), before, switched.after.green, switched.microseconds, release, hands.actor, "rollback"
            )
        )
        hands.ledger.remember(row.id, switching_at=time.time(), microseconds=switched.microseconds)
    return switched


def record(hands: Hands, row: DeploymentRow, target: ReleaseRow, reason: str) -> None:
    """The release that is left is withdrawn; the one gone back to is good and live. A ledger that fails is told."""
    with quietly(hands, "the outcome of this rollback"):
        left = hands.ledger.release(row.previous_release or "")
        if left is not None and leaves_another(row) and left.standing in _WITHDRAWABLE and not row.facts.get("forward"):
            why = reason or f"rolled back to {target.name}"
            hands.ledger.set_standing(left.name, Standing.WITHDRAWN, why, hands.actor)
        hands.ledger.set_standing(
            target.name, Standing.GOOD, f"rolled back to, from {row.previous_release}", hands.actor
        )
        hands.ledger.mark_live(target.name, utc_now())
        hands.ledger.finish(row.id, DeploymentState.LIVE, 0, f"rolled back from {row.previous_release}")


def leaves_another(row: DeploymentRow) -> bool:
    """Whether something else served before."""
    return row.previous_release not in (None, row.release)


def tend(hands: Hands, row: DeploymentRow) -> bool:
    """What serves comes back after a reboot, and what a cold start stopped in its slot goes. False where the engine
    does not do it: that is told, and left to the next command that settles."""
    try:
        for instance in hands.engine.instances(hands.scope):
            if instance.release == row.release and instance.slot == row.slot and instance.state is State.RUNNING:
                hands.engine.keep(instance.id, True)
            elif instance.slot == row.slot and instance.state is State.EXITED:
                hands.engine.remove(instance.id)  # a cold start stopped it here; the standby is in the other slot
    except EngineError as error:
        hands.report(Said(f"{row.release} may not be back after a reboot: {error.message}", "warning"))
        leave_untended(hands, row)
        return False
    return True


def leave_untended(hands: Hands, row: DeploymentRow) -> None:
    """The next command that settles does what only the engine can do."""
    with quietly(hands, "that the engine was away"):
        hands.ledger.remember(row.id, untended=True)
