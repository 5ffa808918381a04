"""Rollback: the previous good release again. Traffic moves first; everything slow comes after."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from release.engine.base import State
from release.errors import Interrupted, LedgerError, ProxyError, Refused, ReleaseError
from release.ledger.records import DeploymentRow, DeploymentState, Kind, ReleaseRow
from release.ledger.store import utc_now
from release.naming import Slot
from release.operations import going_back, standby
from release.operations.glance import Glance
from release.operations.result import Result, live_release
from release.operations.standby import Way
from release.operations.telling import quietly
from release.pipeline.events import Began, Ended, Said
from release.proxy.base import Switched
from release.rollout import identity, targets

if TYPE_CHECKING:
    from release.rollout.hands import Hands

PROBE_SECONDS = 0.3
_PATIENCE = 5.0  # seconds for another rollback to end: a warm one takes a fraction of one

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
            switched, warm = going_back.switch(hands, row, target, began, glance)
        except BaseException as error:
            _record_failure(hands, row, error)
            raise
        milliseconds = (time.monotonic() - began) * 1000
        problem = _verified(hands, switched)
        going_back.record(hands, row, target, reason)
        if glance.soon() is not None:
            going_back.tend(hands, row)
        else:
            going_back.leave_untended(hands, row)
    from release.notify import Occasion

    text = f"{target.name} is live again on {row.slot}"
    if going_back.leaves_another(row):
        text += f"; {row.previous_release} {'stays good' if row.facts.get('forward') else 'is withdrawn'}"
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


def _record_failure(hands: Hands, row: DeploymentRow, error: BaseException) -> None:
    """Traffic has not moved, and what a cold start had begun is taken back."""
    state = DeploymentState.UNDONE if isinstance(error, Interrupted) else DeploymentState.FAILED
    code, text = (error.exit_code, error.message) if isinstance(error, ReleaseError) else (3, str(error))
    with quietly(hands, "how this rollback ended"):
        hands.ledger.finish(row.id, state, code, text)


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
