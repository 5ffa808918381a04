"""What a member is to do next, from what is desired and what it has. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelhost.cluster.desired import Committed, Desired, Proposal


@dataclass(frozen=True, slots=True)
class Holding:
    """What a member has. `serves`: generation and versions of the live set. `prepared`, `loading`: generations.
    `failed`: generation → until when it is not tried again, on the clock that `choose` is told; a proposal never is."""

    serves: tuple[int, Mapping[str, str]] | None = None
    prepared: frozenset[int] = frozenset()
    loading: frozenset[int] = frozenset()
    failed: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Load:
    """Bring the set into memory beside the live one."""

    goal: Committed | Proposal


@dataclass(frozen=True, slots=True)
class Flip:
    """Let the prepared set serve."""

    goal: Committed


@dataclass(frozen=True, slots=True)
class Abandon:
    """Let go of what was loaded, or still loads, for these generations."""

    generations: frozenset[int]


Action = Load | Flip | Abandon


def has_arrived(desired: Desired, serves: tuple[int, Mapping[str, str]] | None) -> bool:
    """Whether what serves is what was committed; also where nothing was ever committed, and anything may serve."""
    goal = desired.committed
    return goal is None or (serves is not None and serves == (goal.generation, goal.versions))


def choose(desired: Desired, holding: Holding, now: float) -> list[Action]:
    """What to begin now, in this order. The committed set comes before the proposed one, and never waits for a load
    that nobody wants any more."""
    actions: list[Action] = []
    goals: list[Committed | Proposal] = []
    if desired.committed is not None and not has_arrived(desired, holding.serves):
        goals.append(desired.committed)
    if desired.proposal is not None:
        goals.append(desired.proposal)
    wanted = {goal.generation for goal in goals}
    if stale := (holding.prepared | holding.loading) - wanted:
        actions.append(Abandon(frozenset(stale)))
    for goal in goals:
        if goal.generation in holding.prepared:
            if isinstance(goal, Committed):
                actions.append(Flip(goal))
        elif goal.generation in holding.loading:
            pass
        elif goal.generation not in holding.failed or (
            isinstance(goal, Committed) and now >= holding.failed[goal.generation]
        ):
            actions.append(Load(goal))
    return actions
