"""Promotion and rollback of a model's version, recorded like any other switch: who, what, why, and the verdicts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from release.errors import Interrupted, Refused, ReleaseError, Superseded, UsageError
from release.ledger.records import ModelAction, ModelState, ModelSwitchRow
from release.ledger.store import utc_now
from release.models.base import Board, Switched
from release.models.sets import spoken
from release.notify import Occasion
from release.operations import models_gate
from release.operations.models import SET
from release.operations.models_gate import Gate
from release.operations.models_unrecorded import Switching, is_recorded
from release.operations.result import Result
from release.operations.telling import quietly
from release.pipeline.events import Began, Ended, Said
from release.rollout import freeze, identity


@dataclass(frozen=True)
class Wish:
    """A component or a set, the version that is asked for (None: the one before), and why. The version of a set is that
    of its first component. `others` (component → version) are promoted with it as one set; `together`: and the mates
    that these name."""

    component: str
    version: str | None
    reason: str
    ignore_freeze: str | None = None  # a person's reason for promoting within a freeze window
    restore: bool = False  # it was rejected by mistake
    others: Mapping[str, str] = field(default_factory=dict)
    together: bool = False


def promote(hands: Switching, board: Board, wish: Wish, gate: Gate, hold_lock: Callable[[str], Any]) -> Result:
    """Through the quality gate; then it serves, or a registry calls it stable.

    `hold_lock(id)` is a context manager around the deployment lock: what a deployment watches does not change under it.
    Raises the ReleaseError that ended it, recorded; nothing has changed then.
    """
    if wish.ignore_freeze is None:
        freeze.require_open(gate.freeze, datetime.now())
    switch_id = identity.deployment_id()
    with hold_lock(switch_id), hands.interruption.handling():
        settle(hands)
        members = board.members(wish.component)
        lead = members[0] if members else wish.component
        named = {name: board.number(name, version) for name, version in _named(wish, lead).items()}
        version, before = named[lead], board.current(lead)
        row = _row(hands, board, switch_id, ModelAction.PROMOTE, wish, before, version)
        hands.ledger.begin_model_switch(row)
        if wish.ignore_freeze is not None:
            hands.ledger.note("freeze ignored", wish.ignore_freeze, switch_id, actor=hands.actor)
        with _Recording(hands, board, row) as recording:
            board.demand_expected()  # before the gate, which takes minutes; the switch itself asks again
            versions = board.with_members(named, members) if members else named
            versions = board.with_mates(versions) if wish.together else versions
            found = {name: board.current(name) for name in versions}
            if members or len(versions) > 1:
                _note_set(hands, switch_id, {name: (found[name], versions[name]) for name in versions})
            if board.is_so(versions):
                return recording.done(board.promote(versions, hands.actor, wish.reason))
            board.demand_fit(versions)
            if wish.restore:
                _restore(hands, board, switch_id, versions, wish.reason)
            with models_gate.passed(hands, switch_id, gate, board, versions) as verdict:
                _require_unchanged(board, {**found, lead: before})
                with hands.interruption.shield():
                    switched = board.promote(versions, hands.actor, wish.reason)
                    return recording.done(switched, f"{verdict.check}: {verdict.reason}")


def _named(wish: Wish, lead: str) -> dict[str, str]:
    """What a person named, component → version, the first one first: of a set its first component. Raises UsageError
    for one that is named twice."""
    assert wish.version is not None
    if lead in wish.others:
        raise UsageError(f"{lead} is named twice", hint="--with names other components of its set")
    return {lead: wish.version, **wish.others}


def _restore(hands: Switching, board: Board, switch_id: str, versions: Mapping[str, str], why: str) -> None:
    for name, version in versions.items():
        if board.restore(name, version, hands.actor, why):
            hands.ledger.note("rejection taken back", why, switch_id, actor=hands.actor, component=name)


def _note_set(hands: Switching, switch_id: str, moved: Mapping[str, tuple[str | None, str | None]]) -> None:
    """Keeps, of a switch of several components or of a set, what of each was there before it and is there after it."""
    after = {name: to for name, (_, to) in moved.items()}
    before = {name: was for name, (was, _) in moved.items()}
    hands.ledger.note(SET, f"{spoken(after)}, {spoken(before)} before", switch_id, versions=after, before=before)


def rollback(hands: Switching, board: Board, wish: Wish) -> Result:
    """At once: no gate, no lock, and a ledger that cannot be written stops nothing."""
    switch_id = identity.deployment_id()
    with hands.interruption.handling():
        members = board.members(wish.component)
        lead = members[0] if members else wish.component
        target = None if wish.version is None else board.number(lead, wish.version)
        before = board.current(lead)
        row = _row(hands, board, switch_id, ModelAction.ROLLBACK, wish, before, target)
        with quietly(hands, "that a rollback began"):
            hands.ledger.begin_model_switch(row)
        with _Recording(hands, board, row) as recording, hands.interruption.shield():
            switched = board.rollback(wish.component, target, hands.actor, wish.reason)
            with quietly(hands, "what went back with it"):
                own = {} if members else {wish.component: (switched.before, switched.after)}  # a set's are the others
                if switched.others:
                    _note_set(hands, switch_id, {**own, **switched.others})
            return recording.done(switched)


def settle(hands: Switching) -> None:
    """Ends in the ledger what a killed process left running there; how things stand is asked where they stand."""
    for row in hands.ledger.model_switches(state=ModelState.RUNNING):
        if row.host == identity.host() and _is_alive(row.pid):
            continue
        text = "it had lost its process; `release models list` shows how things stand"
        hands.ledger.finish_model_switch(row.id, ModelState.UNDONE, None, Interrupted.exit_code, text)
        hands.report(Said(f"{row.id}, {row.action} of {row.component}: {text}", "warning"))


class _Recording:
    """A switch's row from its beginning to its end, and what those hear of it who are told of switches."""

    def __init__(self, hands: Switching, board: Board, row: ModelSwitchRow) -> None:
        self._hands, self._board, self._row = hands, board, row
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        row = self._row
        name = f"{row.component} {row.version or ''}".strip()
        to = "to " if row.action is ModelAction.ROLLBACK and row.version is not None else ""
        steps = (models_gate.NAME,) if row.action is ModelAction.PROMOTE else ()
        self._hands.report(Began(row.id, f"{row.action} {to}{name} in {row.place}", steps))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not isinstance(error, ReleaseError):
            return
        self._hands.interruption.disarm()
        state = _state_after(error)
        self._end(state, None, error.exit_code, error.message)
        occasion = Occasion.REFUSED if state is ModelState.REFUSED else Occasion.FAILED
        self._notify(occasion, error.message, self._row.before)
        if is_recorded(self._hands):
            error.context.setdefault("model_switch", self._row.id)

    def done(self, switched: Switched, why: str = "") -> Result:
        """It has happened: a signal that came meanwhile changes nothing any more."""
        self._hands.interruption.disarm()
        state = ModelState.UNCHANGED
        if switched.changed:
            state = ModelState.SWITCHED if self._board.running is not None else ModelState.MARKED
        text = "; ".join(part for part in (switched.text, why) if part)
        self._end(state, switched.after, 0, text)
        if switched.changed:
            back = self._row.action is ModelAction.ROLLBACK
            self._notify(Occasion.ROLLED_BACK if back else Occasion.DEPLOYED, text, switched.after)
        data = {
            "id": self._row.id if is_recorded(self._hands) else None,
            "component": self._row.component,
            "before": switched.before,
            "after": switched.after,
            "where": self._row.place,
            "others": {name: {"before": was, "after": now} for name, (was, now) in switched.others.items()},
        }
        return Result(0, str(state), text, data=data)

    def _end(self, state: ModelState, after: str | None, exit_code: int, text: str) -> None:
        hands, row = self._hands, self._row
        with quietly(hands, "how it ended"):
            hands.ledger.finish_model_switch(row.id, state, after, exit_code, text)
        hands.report(Ended(row.id, state, text, time.monotonic() - self._began))

    def _notify(self, occasion: Occasion, reason: str, current: str | None) -> None:
        row = self._row
        name = f"{row.component} {row.version or ''}".strip()
        self._hands.notify(occasion, name, reason, None if current is None else f"{row.component} {current}")


def _row(
    hands: Switching,
    board: Board,
    switch_id: str,
    action: ModelAction,
    wish: Wish,
    before: str | None,
    version: str | None,
) -> ModelSwitchRow:
    return ModelSwitchRow(
        id=switch_id,
        action=action,
        component=wish.component,
        version=version,
        before=before,
        after=None,
        place=board.where,
        state=ModelState.RUNNING,
        actor=hands.actor,
        host=identity.host(),
        pid=os.getpid(),
        started_at=utc_now(),
        reason=wish.reason,
    )


def _require_unchanged(board: Board, found: Mapping[str, str | None]) -> None:
    """The gate takes minutes: what it compared with has to be what is replaced."""
    for component, before in found.items():
        current = board.current(component)
        if current != before:
            raise Superseded(
                f"{component} was {before or 'nothing'} when this began and is {current or 'nothing'} now",
                hint="somebody switched it meanwhile; `release history` says who",
            )


def _state_after(error: ReleaseError) -> ModelState:
    for kind, state in (
        (Refused, ModelState.REFUSED),
        (Interrupted, ModelState.UNDONE),
        (Superseded, ModelState.SUPERSEDED),
    ):
        if isinstance(error, kind):
            return state
    return ModelState.FAILED


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()
