"""The loads of a member: each in a thread of its own, so that neither signs of life nor a rollback wait for one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError

from modelhost.cluster.desired import Committed, Proposal
from modelhost.cluster.preparing import Prepared, Preparing
from modelhost.errors import Loading, ModelHostError, RegistryUnavailable
from modelhost.serving.course import Course
from modelhost.serving.leases import give_back
from modelhost.serving.rollback import ROOM_SECONDS

_log = logging.getLogger(__name__)


class _Load:
    """One that is under way."""

    def __init__(self, course: Course) -> None:
        self.course = course
        self.abandoned = threading.Event()
        self.obstacle = ""


class Loads:
    """Which generations are in memory beside the live set, are on their way there, or failed. Safe between threads.

    `ended` is called when a load has ended, in its thread; `clock` and `retry` in seconds.
    """

    def __init__(
        self, preparing: Preparing, retry: float, clock: Callable[[], float], ended: Callable[[], None]
    ) -> None:
        self._preparing = preparing
        self._retry = retry
        self._clock = clock
        self._ended = ended
        self._lock = threading.Lock()
        self._prepared: dict[int, Prepared] = {}
        self._loading: dict[int, _Load] = {}
        self._failed: dict[int, tuple[float, str]] = {}

    @property
    def prepared(self) -> frozenset[int]:
        """Generations in memory, which serve nobody."""
        with self._lock:
            return frozenset(self._prepared)

    @property
    def loading(self) -> frozenset[int]:
        """Generations on their way."""
        with self._lock:
            return frozenset(self._loading)

    @property
    def failed(self) -> dict[int, float]:
        """Generation → until when it is not to be tried again, on the clock."""
        with self._lock:
            return {generation: until for generation, (until, _) in self._failed.items()}

    def why(self, generation: int) -> str:
        """Why a load failed, or nothing."""
        with self._lock:
            return self._failed.get(generation, (0.0, ""))[1]

    def obstacle(self, generation: int) -> str:
        """What keeps a load that goes on from getting further, or nothing."""
        with self._lock:
            load = self._loading.get(generation)
            return "" if load is None else load.obstacle

    def begin(self, goal: Committed | Proposal) -> None:
        """Load a set that is neither here nor on its way."""
        load = _Load(self._preparing.course(goal.generation))
        with self._lock:
            self._loading[goal.generation] = load
            self._failed.pop(goal.generation, None)
        name = f"modelhost-generation-{goal.generation}"
        try:
            threading.Thread(target=self._bring, args=(goal, load), name=name, daemon=True).start()
        except RuntimeError as error:  # no thread can be had
            self._landed(goal.generation, load, {}, str(error))

    def take(self, generation: int) -> Prepared:
        """A prepared set, which belongs to the caller from here on."""
        with self._lock:
            return self._prepared.pop(generation)

    def abandon(self, generations: Iterable[int]) -> None:
        """Let go of what was loaded, and of what still loads: that ends at its next step, or leaves when it has landed,
        and whoever needs its room waits for that."""
        numbers = list(generations)
        with self._lock:
            stale = [self._prepared.pop(number) for number in numbers if number in self._prepared]
            loads = [self._loading.pop(number) for number in numbers if number in self._loading]
        for load in loads:
            load.abandoned.set()
            load.course.call_off("it is not desired any more")
        for each in stale:
            give_back(each.values())

    def forget_failures(self, but: Iterable[int]) -> None:
        """Of generations that nobody asks for any more."""
        with self._lock:
            self._failed = {number: self._failed[number] for number in but if number in self._failed}

    def _bring(self, goal: Committed | Proposal, load: _Load) -> None:
        prepared: Prepared = {}
        failure = ""
        try:
            prepared = self._persist(goal, load)
        except ModelHostError as error:
            failure = str(error)
        except CancelledError:
            failure = load.course.called_off
        except BaseException as error:
            _log.exception("generation %d", goal.generation)
            failure = f"{type(error).__name__}: {error}"
        if not self._landed(goal.generation, load, prepared, failure):
            give_back(prepared.values())
        self._ended()

    def _persist(self, goal: Committed | Proposal, load: _Load) -> Prepared:
        """Tries on where the registry is out of reach: that says nothing about the set. Its coordinator has patience,
        or has not."""
        while True:
            try:
                return self._preparing.prepare(goal.versions, goal.generation, load.course, _patience(goal))
            except (RegistryUnavailable, Loading) as error:
                load.obstacle = str(error)
                _log.warning("generation %d is tried again: %s", goal.generation, error)
                if load.abandoned.wait(min(error.retry_after, self._retry)):
                    raise

    def _landed(self, generation: int, load: _Load, prepared: Prepared, failure: str) -> bool:
        """False where it was abandoned meanwhile."""
        with self._lock:
            if self._loading.get(generation) is not load:
                return False
            del self._loading[generation]
            if failure:
                _log.error("generation %d cannot be loaded: %s", generation, failure)
                self._failed[generation] = (self._clock() + self._retry, failure)
            else:
                self._prepared[generation] = prepared
            return True


def _patience(goal: Committed | Proposal) -> float:
    """Seconds for the room of a load that was given up: its thread cannot be stopped."""
    return min(goal.patience, ROOM_SECONDS) if isinstance(goal, Proposal) else ROOM_SECONDS
