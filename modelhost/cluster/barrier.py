"""The barrier: what becomes of a proposal. All living members have loaded it, or none will serve it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelhost.cluster.members import State
from modelhost.errors import LoadFailed, ModelHostError, Unavailable


@dataclass(frozen=True, slots=True)
class Standing:
    """A member before the barrier: whether it lives, and what it says of which generation."""

    living: bool
    state: State
    generation: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """What the coordinator sees. `deadline` is on the clock that `decide` is told. `at_least`: so many must have
    loaded, so that a set which nobody ever loaded is not committed."""

    generation: int
    members: Mapping[str, Standing] = field(default_factory=dict)
    deadline: float = 0.0
    at_least: int = 1


@dataclass(frozen=True, slots=True)
class Wait:
    """Not yet: for these members; for none where too few are there."""

    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Commit:
    """All that live have loaded it."""

    loaded: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Abort:
    """It comes to nothing for all. `blamed`: the members because of whom; `late`: it took too long."""

    reason: str
    blamed: tuple[str, ...]
    late: bool = False

    def error(self, what: str, retry_after: float) -> ModelHostError:
        """That for who asked: `what` came to nothing. `retry_after` in seconds, where it was late."""
        return Unavailable(what, self.reason, retry_after) if self.late else LoadFailed(what, self.reason)


Decision = Wait | Commit | Abort


def decide(view: View, now: float) -> Decision:
    """What is to be done with the proposal at the time `now`. A member that is expired counts for nothing."""
    living = {name: each for name, each in sorted(view.members.items()) if each.living}
    about = {name: each for name, each in living.items() if each.generation == view.generation}
    unable = {name: each.reason for name, each in about.items() if each.state is State.UNABLE}
    if unable:
        reasons = "; ".join(f"{name}: {reason or 'no reason given'}" for name, reason in unable.items())
        return Abort(f"cannot be loaded by {reasons}", tuple(unable))
    loaded = tuple(name for name, each in about.items() if each.state in (State.LOADED, State.SERVING))
    missing = tuple(name for name in living if name not in loaded)
    if not missing and len(loaded) >= view.at_least:
        return Commit(loaded)
    if now < view.deadline:
        return Wait(missing)
    if missing:
        return Abort(f"not loaded in time by {', '.join(missing)}", missing, late=True)
    return Abort(f"{len(loaded)} members are there, and {view.at_least} are wanted", (), late=True)
