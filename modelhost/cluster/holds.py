"""Load and unload for a cluster: a version into the memory of all living members, or out of it.

A load returns when all that live have it, or comes to nothing for all. Whoever dies while it waits leaves a hold
behind, which an unload takes out.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from modelhost.cluster.barrier import Abort, Commit, Decision, Standing, View, decide
from modelhost.cluster.desired import Desired
from modelhost.cluster.held import Hold
from modelhost.cluster.members import Sighting, State, by_name
from modelhost.cluster.promotion import Parts
from modelhost.errors import Conflict, ModelHostError, RegistryUnavailable, Unavailable

_log = logging.getLogger(__name__)


class Holds:
    """What a coordinator changes of what is held, and waits for."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def hold(self, component: str, version: str, *, who: str, patience: float | None = None) -> bool:
        """Keeps a version in the memory of all members, those that come later too, until it is let go of, serves, or is
        rejected. Returns when all that live have it, within `patience` seconds: whether this brought it there, because
        it was not held before, or who asked for it then broke off and some member has not got it yet.

        Nothing has changed after an error: LoadFailed (a member cannot load it), Unavailable (not in time), Conflict
        (somebody let it go meanwhile), RegistryUnavailable. What was held before is held on; what serves needs no hold.
        """
        parts = self._parts
        span = parts.timings.patience if patience is None else patience
        deadline = parts.clock() + span
        held: Hold | None = None
        while held is None:
            desired = parts.log.read()
            if desired.committed is not None and desired.committed.versions.get(component) == version:
                return False
            held = desired.held.find(component, version)
            is_new = held is None
            is_fresh = held is None or not self._is_everywhere(held)
            if is_new:
                held = self._written(desired.hold(component, version, who, parts.now()), component, version)
        try:
            self._wait(held, deadline)
        except BaseException:
            if is_new:
                self._take_back(held)
            raise
        return is_fresh

    def let_go(self, component: str, version: str | None, *, who: str, patience: float | None = None) -> None:
        """Takes a version out of the memory of all members, or all of the component that serve nobody; in use, it
        leaves with its last request. Returns when all that live have seen it, within `patience` seconds.

        Raises Conflict for one that serves, or is to serve; RegistryUnavailable; Unavailable where somebody did not see
        it in time, who lets go as soon as they look.
        """
        parts = self._parts
        # Who shows no change for a ttl is dead; who shows one has looked before.
        span = parts.timings.ttl + parts.timings.beat if patience is None else patience
        deadline = parts.clock() + span
        number: int | None = None
        while number is None:
            desired = parts.log.read()
            _demand_idle(desired, component, version)
            try:
                parts.log.write(gone := desired.let_go(component, version, who, parts.now()))
            except Conflict:
                continue
            number = gone.revision
        while late := [name for name, each in self._living().items() if each.beat.revision < number]:
            if parts.clock() >= deadline:
                what = f"{component} {version or '(all that serve nobody)'}"
                raise Unavailable(
                    f"{what} has not left {', '.join(late)}",
                    "they let go of it as soon as they look",
                    parts.timings.ttl,
                )
            parts.sleep(parts.timings.poll)

    def _written(self, desired: Desired, component: str, version: str) -> Hold | None:
        """The new hold; None where somebody else changed the state first."""
        try:
            self._parts.log.write(desired)
        except Conflict:
            return None
        return desired.held.find(component, version)

    def _wait(self, hold: Hold, deadline: float) -> None:
        parts = self._parts
        while True:
            try:
                desired = parts.log.read()
                if not desired.held.has(hold.number):
                    _demand_serving(desired, hold)
                    return
                decision = self._decide(hold, deadline)
            except RegistryUnavailable:
                if parts.clock() >= deadline:
                    raise
            else:
                if isinstance(decision, Commit):
                    return
                if isinstance(decision, Abort):
                    what = f"{hold.component} {hold.version} is not held in memory by all"
                    raise decision.error(what, parts.timings.ttl)
            parts.sleep(parts.timings.poll)

    def _decide(self, hold: Hold, deadline: float) -> Decision:
        """As at a promotion: all that live have it, or one cannot, or it takes too long."""
        members = {name: _standing(each, hold.number) for name, each in by_name(self._parts.members.observe()).items()}
        return decide(View(hold.number, members, deadline), self._parts.clock())

    def _is_everywhere(self, hold: Hold) -> bool:
        """Whether no member that may live lacks it."""
        seen = by_name(self._parts.members.observe()).values()
        return all(each.beat.holds.get(hold.number) == "" for each in seen if each.living is not False)

    def _take_back(self, hold: Hold) -> None:
        """Out of the registry's reach it stays, and whoever asked is told of that reach; an unload takes it out."""
        try:
            while (desired := self._parts.log.read()).held.has(hold.number):
                with suppress(Conflict):  # what was read is not what counts any more
                    self._parts.log.write(desired.take_back(hold.number))
        except ModelHostError as error:
            _log.warning("%s %s is held on until somebody unloads it: %s", hold.component, hold.version, error)

    def _living(self) -> dict[str, Sighting]:
        return {name: each for name, each in by_name(self._parts.members.observe()).items() if each.living}


def _standing(sighting: Sighting, number: int) -> Standing:
    said = sighting.beat.holds.get(number)
    state = State.LOADING if said is None else State.UNABLE if said else State.LOADED
    return Standing(sighting.living, state, number, said or "")


def _demand_serving(desired: Desired, hold: Hold) -> None:
    """A hold that is gone is well where its version serves instead. Raises Conflict."""
    if desired.committed is None or desired.committed.versions.get(hold.component) != hold.version:
        raise Conflict(
            f"{hold.component} {hold.version} was let go of, or rejected, while it was loaded", "ask for it again"
        )


def _demand_idle(desired: Desired, component: str, version: str | None) -> None:
    if version is None:
        return
    if desired.committed is not None and desired.committed.versions.get(component) == version:
        raise Conflict(f"{component} {version} serves", "promote another version first")
    if desired.proposal is not None and desired.proposal.versions.get(component) == version:
        raise desired.is_busy()
