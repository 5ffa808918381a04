"""What a member does for what is desired: it loads sets beside the live one, flips when they are committed, and lets go
of what nobody wants any more. Asks no registry what is desired, and shows nobody what it did: that is the follower's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from modelhost.cluster.desired import Committed, Desired, Proposal
from modelhost.cluster.flipping import Flipper
from modelhost.cluster.goals import Abandon, Flip, Holding, choose, has_arrived
from modelhost.cluster.keeping import Keeping
from modelhost.cluster.loads import Loads
from modelhost.cluster.members import State
from modelhost.cluster.memory import Memory
from modelhost.cluster.preparing import Prepared, Preparing
from modelhost.errors import Conflict
from modelhost.loading.base import Loaded
from modelhost.serving.serving import Serving
from modelhost.serving.sets import spoken

_log = logging.getLogger(__name__)


class Pursuit:
    """Of one service, which is switched by this alone. One thread follows; what is said may be asked from any.

    `memory` keeps what was flipped to; `retry`, in seconds on the `clock`, lies between two attempts at what could not
    be loaded; `found` is called when a version that is held has come into memory, `ended` when a load has ended.
    """

    def __init__(
        self,
        serving: Serving,
        memory: Memory,
        retry: float,
        clock: Callable[[], float],
        *,
        fallbacks: Iterable[Loaded],
        now: Callable[[], datetime],
        found: Callable[[], None],
        ended: Callable[[], None],
    ) -> None:
        self._serving = serving
        self._memory = memory
        self._clock = clock
        self._flipper = Flipper(serving, now)
        self._preparing = Preparing(serving, fallbacks)
        self._loads = Loads(self._preparing, retry, clock, ended)
        self._keeping = Keeping(serving.pool, retry, clock, found, ended)
        self._arrived = False

    def follow(self, desired: Desired) -> None:
        """Does what is to be done now; waits for no load."""
        self._keeping.follow(desired, desired.proposal is None and has_arrived(desired, self.serves))
        goals = (desired.committed, desired.proposal)
        self._loads.forget_failures(goal.generation for goal in goals if goal is not None)
        for action in choose(desired, self._holding(), self._clock()):
            if isinstance(action, Abandon):
                self._loads.abandon(action.generations)
            elif isinstance(action, Flip):
                self._flip(desired, action.goal, self._loads.take(action.goal.generation))
            elif isinstance(action.goal, Committed) and (here := self._at_hand(action.goal)) is not None:
                self._flip(desired, action.goal, here)
            else:
                self._loads.begin(action.goal)
        serves = self.serves
        self._arrived = serves is not None and has_arrived(desired, serves)

    @property
    def arrived(self) -> bool:
        """Whether what serves was what is committed, when this followed last."""
        return self._arrived

    @property
    def serves(self) -> tuple[int, Mapping[str, str]] | None:
        """Generation and versions of what serves; None for nothing."""
        serving = self._serving.live.serving()
        return None if serving is None else (serving.generation, dict(serving.versions))

    def why_not(self, goal: Committed) -> str:
        """Why a committed set does not serve here yet."""
        number, what = goal.generation, f"generation {goal.generation} ({spoken(goal.versions)})"
        if why := self._loads.why(number):
            return f"{what} cannot be loaded: {why}"
        obstacle = self._loads.obstacle(number)
        return f"{what} is being loaded{': ' if obstacle else ''}{obstacle}"

    def standing(self, desired: Desired) -> tuple[State, int, str]:
        """How the member stands to which generation, and why. About the proposal, where there is one; its coordinator
        waits for that."""
        holding = self._holding()
        goal: Committed | Proposal | None = desired.proposal
        if goal is None and not self._arrived:
            goal = desired.committed
        if goal is None:
            return (State.SERVING, holding.serves[0], "") if holding.serves else (State.WAITING, 0, "")
        number = goal.generation
        if number in holding.prepared:
            return State.LOADED, number, ""
        if why := self._loads.why(number):
            return State.UNABLE, number, why
        return State.LOADING, number, self._loads.obstacle(number)

    def held(self) -> dict[int, str]:
        """Number of a hold → why it cannot be loaded, nothing where it is in memory."""
        return self._keeping.said()

    def in_memory(self) -> dict[str, list[str]]:
        """Component → its versions that are in memory, and stay there for now."""
        found: dict[str, list[str]] = {}
        for each in self._serving.pool.residents():
            if not each.leaving:
                found.setdefault(each.component, []).append(each.version)
        return {component: sorted(versions) for component, versions in sorted(found.items())}

    def close(self) -> None:
        """Lets go of all but what serves."""
        # In this order, see `_holding`: what lands between the two would be held for ever.
        self._loads.abandon(self._loads.loading | self._loads.prepared)
        self._keeping.close()

    def _at_hand(self, goal: Committed) -> Prepared | None:
        """All of it in memory: who holds the old set goes back at once, without having been unready."""
        return self._preparing.held(goal.versions, goal.generation)

    def _flip(self, desired: Desired, goal: Committed, prepared: Prepared) -> None:
        try:
            self._flipper.flip(goal, prepared)
        except Conflict as error:
            _log.warning("generation %d is tried again: %s", goal.generation, error)
        else:
            self._memory.keep(desired)

    def _holding(self) -> Holding:
        # In this order: what is prepared between two of these was loading, and is not begun anew.
        loading, prepared = self._loads.loading, self._loads.prepared
        return Holding(self.serves, prepared, loading - prepared, self._loads.failed)
