"""Rollback: the previous good release again. Traffic moves first; everything slow comes after."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from release.engine.base import Instance, State
from release.errors import EngineError, Interrupted, LedgerError, ProxyError, Refused, ReleaseError
from release.ledger.records import DeploymentRow, DeploymentState, Kind, ReleaseRow, Standing, SwitchRow
from release.ledger.store import utc_now
from release.naming import Slot
from release.operations import standby
from release.operations.glance import Glance
from release.operations.result import Result, live_release
from release.operations.standby import Way
from release.operations.telling import announce, quietly, told
from release.pipeline.events import Began, Ended, Said
from release.proxy.base import Switched, Traffic
from release.rollout import identity, targets

if TYPE_CHECKING:
    from release.rollout.deployment import Deployment
    from release.rollout.hands import Hands

PROBE_SECONDS = 0.3
_PATIENCE = 5.0  # seconds for another rollback to end: a warm one takes a fraction of one
_WITHDRAWABLE = (Standing.NEW, Standing.GOOD, Standing.UNOBSERVED)

TryLock = Callable[[], contextlib.AbstractContextManager[bool]]


def rollback(hands: Hands, to: str | None, reason: str, try_lock: TryLock) -> Result:
    """Moves traffic to the previous good release, or to `to`. Raises ReleaseError with nothing changed.

    `try_lock()` yields True where the deployment lock could be had: no run is under way, so what a dead one left is
    settled, after traffic has moved.
    """
    began = time.monotonic()
    with _one_at_a_time(hands):
        glance = Glance(hands)
        result = _recovered(hands, to, try_lock) or _rollback(hands, to, reason, began, glance)
    _tidy(hands, try_lock, glance)
    return result


def ways(hands: Hands) -> list[Way]:
    """Every release that was live or is retained, with what going there would take."""
    traffic = hands.front.switch.get()
    live = live_release(hands, traffic.live) if traffic else None
    return standby.ways(hands, live, traffic.live.other if traffic else Slot.BLUE)


def _recovered(hands: Hands, to: str | None, try_lock: TryLock) -> Result | None:
    """On a deployment that died before its switch, a bare rollback takes back that one and nothing else."""
    dead = [] if to is not None else [row for row in hands.ledger.unfinished() if row.kind is Kind.DEPLOY]
    if not dead or any(targets.moved_traffic(row) for row in dead):
        return None
    from release.operations.settle import settle

    with try_lock() as free:
        if not free:
            return None
        settle(hands)
    traffic = hands.front.switch.get()
    live = Glance(hands).live(traffic) if traffic else None
    still = f"{live} is live as before; `release rollback` once more goes further back" if live else "nothing is live"
    text = f"the unfinished deployment of {dead[0].release} is taken back; {still}"
    hands.report(Said(text))
    return Result(0, "recovered", text, dead[0].id, live)


def _rollback(hands: Hands, to: str | None, reason: str, began: float, glance: Glance) -> Result:
    try:
        traffic = hands.front.switch.get()
    except ProxyError as damage:
        return _set_again(hands, to, reason, began, damage.message, glance)
    if traffic is None:
        return _set_again(hands, to, reason, began, "nothing is live", glance)
    live = glance.live(traffic)
    releases, deployments = hands.ledger.releases(), hands.ledger.deployments(limit=50)
    choice = targets.choose(live, releases, deployments, to)
    if choice.release is None:
        hands.report(Said(choice.reason))
        return Result(0, "unchanged", choice.reason, None, live)
    forward = targets.is_forward(next((r for r in releases if r.name == live), None), choice.release)
    row = _row(hands, choice.release, live, traffic.live.other)
    return _go(hands, _with(row, forward, reason, traffic.owner), choice.release, reason, began, glance)


def _set_again(hands: Hands, to: str | None, reason: str, began: float, damage: str, glance: Glance) -> Result:
    """Where no flag says what serves, a release is named; it serves from the slot where it runs already, if it does."""
    last = next(iter(hands.ledger.switches(limit=1)), None)
    if to is None:
        was = f"`release rollback --to {last.release}` sets traffic again" if last and last.release else ""
        error = Refused if damage == "nothing is live" else ProxyError
        raise error(f"{damage}, so there is nothing to roll back from", hint=was or "`release deploy TAG`")
    choice = targets.named(None, hands.ledger.releases(), to)
    assert choice.release is not None
    mine = [i for i in glance.whole() if i.state is State.RUNNING]
    held = [i.slot for i in mine if standby.way_to(hands, choice.release, i.slot, [i]).how == "warm"]
    busy = {i.slot for i in mine}
    free = [slot for slot in Slot if slot not in busy] or [Slot.BLUE if last and last.after > 500 else Slot.GREEN]
    previous = last.release if last and last.release != choice.release.name else None
    row = _row(hands, choice.release, previous, (held or free)[0])
    return _go(hands, _with(row, True, reason, ""), choice.release, reason, began, glance)


def _row(hands: Hands, target: ReleaseRow, live: str | None, slot: Slot) -> DeploymentRow:
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
        previous_slot=slot.other,
        facts={"image_id": target.image_id},  # keeps the image from being pruned meanwhile
    )


def _with(row: DeploymentRow, forward: bool, reason: str, owner: str) -> DeploymentRow:
    """`owner_before` tells a recovery whether traffic has been moved by somebody else since."""
    return replace(row, facts=row.facts | {"forward": forward, "reason": reason, "owner_before": owner})


def _go(hands: Hands, row: DeploymentRow, target: ReleaseRow, reason: str, began: float, glance: Glance) -> Result:
    with hands.interruption.handling():
        hands.report(Began(row.id, f"roll {hands.scope} back to {target.name}", ("probe", "switch")))
        # Intent before effect; a ledger that cannot be written does not stop the way back.
        with quietly(hands, "the start of this rollback"):
            hands.ledger.begin(row)
        try:
            switched, warm = _switch(hands, row, target, began, glance)
        except BaseException as error:
            _record_failure(hands, row, error)
            raise
        milliseconds = (time.monotonic() - began) * 1000
        problem = _verified(hands, switched)
        _record(hands, row, target, reason)
        if glance.soon() is not None:
            tend(hands, row)
        else:
            _leave_untended(hands, row)
    from release.notify import Occasion

    left = "stays good" if row.facts.get("forward") else "is withdrawn"
    text = f"{target.name} is live again on {row.slot}" + (f"; {row.previous_release} {left}" if _left(row) else "")
    hands.report(Ended(row.id, "live", text, time.monotonic() - began))
    hands.notify(Occasion.ROLLED_BACK, row.previous_release or "", f"{text}. {reason}".strip(), target.name)
    if problem is not None:
        raise ProxyError(f"traffic is set to {target.name}, but {problem.message}", hint=problem.hint)
    data = {
        "slot": str(row.slot),
        "previous": row.previous_release,
        "warm": warm,
        "switch_microseconds": switched.microseconds,
        "milliseconds": round(milliseconds, 1),
    }
    return Result(0, "rolled back", text, row.id, target.name, data)


def _switch(
    hands: Hands, row: DeploymentRow, target: ReleaseRow, began: float, glance: Glance
) -> tuple[Switched, bool]:
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


def _verified(hands: Hands, switched: Switched) -> ProxyError | None:
    """What is wrong with nginx, if anything is; one that is down is started: its requests were lost already."""
    try:
        hands.front.verify(switched.after)
        return None
    except ProxyError as error:
        problem = error
    try:
        if not hands.proxy.ensure_running():
            return problem
        hands.report(Said("nginx was down; it runs again", "warning"))
        hands.front.verify(switched.after)
    except ProxyError as error:
        return error
    return None


def _left(row: DeploymentRow) -> bool:
    return row.previous_release not in (None, row.release)


def _record(hands: Hands, row: DeploymentRow, target: ReleaseRow, reason: str) -> None:
    with quietly(hands, "the outcome of this rollback"):
        left = hands.ledger.release(row.previous_release or "")
        if left is not None and _left(row) and left.standing in _WITHDRAWABLE and not row.facts.get("forward"):
            why = reason or f"rolled back to {target.name}"
            hands.ledger.set_standing(left.name, Standing.WITHDRAWN, why, hands.actor)
        hands.ledger.set_standing(
            target.name, Standing.GOOD, f"rolled back to, from {row.previous_release}", hands.actor
        )
        hands.ledger.mark_live(target.name, utc_now())
        hands.ledger.finish(row.id, DeploymentState.LIVE, 0, f"rolled back from {row.previous_release}")


def _record_failure(hands: Hands, row: DeploymentRow, error: BaseException) -> None:
    """Traffic has not moved, and what a cold start had begun is taken back."""
    state = DeploymentState.UNDONE if isinstance(error, Interrupted) else DeploymentState.FAILED
    code, text = (error.exit_code, error.message) if isinstance(error, ReleaseError) else (3, str(error))
    with quietly(hands, "how this rollback ended"):
        hands.ledger.finish(row.id, state, code, text)


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
        _leave_untended(hands, row)
        return False
    return True


def _leave_untended(hands: Hands, row: DeploymentRow) -> None:
    with quietly(hands, "that the engine was away"):
        hands.ledger.remember(row.id, untended=True)


def finish_forward(deployment: Deployment) -> str:
    """Brings a rollback whose process died to its end; where it cannot be had, closes it and says why."""
    from release.operations import cold
    from release.rollout.switching import record_missed

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
            switched, _ = _switch(hands, row, target, time.monotonic(), Glance(hands))
            hands.front.verify(switched.after)
        record_missed(deployment)
        _record(hands, row, target, str(deployment.fact("reason", "")))
        tend(hands, row)
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


@contextlib.contextmanager
def _one_at_a_time(hands: Hands) -> Iterator[None]:
    """Raises Locked where another rollback is under way; where no lock can be had (a full disk) it goes on."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(hands.rollback_lock(_PATIENCE))
        except LedgerError as error:
            hands.report(Said(f"{error.message}; going on without it", "warning"))
        yield


def _tidy(hands: Hands, try_lock: TryLock, glance: Glance) -> None:
    """Traffic has moved; now there is time for what a dead run left behind, where the engine can do anything."""
    try:
        if glance.soon() is None:
            text = "the engine did not answer: `release doctor --mend` settles what is left once it does"
            hands.report(Said(text, "warning"))
        elif hands.ledger.unfinished():
            from release.operations.settle import settle

            with try_lock() as free:
                if free:
                    settle(hands)
    except ReleaseError as error:
        hands.report(Said(f"what is left is for `release doctor --mend`: {error.message}", "warning"))
