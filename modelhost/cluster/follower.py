"""A member: the thread in each process that ties what is desired to what serves there.

It looks at the desired state, loads beside the live set what is proposed or committed, flips when that is committed,
and shows signs of life. Out of the registry's reach it keeps what was committed last, goes on serving, and says so.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from modelhost.cluster.desired import Committed, DesiredLog, Proposal
from modelhost.cluster.flipping import Flipper
from modelhost.cluster.goals import Abandon, Flip, Holding, choose, has_arrived
from modelhost.cluster.members import Beat, Members, State
from modelhost.cluster.memory import Memory
from modelhost.cluster.place import Place
from modelhost.cluster.preparing import Leases, held, let_go, prepare
from modelhost.cluster.proposals import Proposals, why_abandoned
from modelhost.cluster.report import spoken
from modelhost.cluster.timings import Timings
from modelhost.errors import Conflict, IntegrityError, ModelHostError, RegistryUnavailable
from modelhost.registry.directory import utc_now
from modelhost.serving.serving import Serving

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a load balancer should send requests here, and why not; `away`: what is wrong with the registry."""

    ready: bool
    reason: str = ""
    away: str = ""


class Follower:
    """A member of a cluster. Start it in the process that serves, after any fork; `serving` is switched by it alone.

    `name` is for people, by default host and process; `memory` is a file on the member's own disk. Requests never wait
    for it: they lease from `serving`, whose sets carry the generation.
    """

    def __init__(
        self,
        serving: Serving,
        place: Place,
        timings: Timings | None = None,
        *,
        name: str = "",
        memory: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.serving = serving
        self.timings = timings or Timings()
        self.name = name or f"{socket.gethostname()}-{os.getpid()}"
        self.key = f"{re.sub(r'[^A-Za-z0-9._-]', '_', self.name)}-{os.urandom(4).hex()}"
        self._log = DesiredLog(place)
        self._members = Members(place, self.timings.ttl, clock)
        self._proposals = Proposals(place, self.timings.ttl, clock)
        self._memory = Memory(memory)
        self._flipper = Flipper(serving, now)
        self._clock = clock
        self._now = now
        self._desired = self._memory.recall()
        self._away = ""
        self._arrived = False
        self._last = Beat(key=self.key, name=self.name)
        self._last_beat = float("-inf")
        self._lock = threading.Lock()  # guards the four below, which loads in threads of their own write to
        self._prepared: dict[int, Leases] = {}
        self._loading: dict[int, object] = {}
        self._failed: dict[int, tuple[float, str]] = {}
        self._stopping = False
        self._wake = threading.Event()
        self._looked = threading.Event()
        self._thread = threading.Thread(target=self._run, name="modelhost-follower", daemon=True)

    # -- for the service -------------------------------------------------------------------------------------------

    def start(self, timeout: float = 30.0) -> Readiness:
        """Begins to follow; returns after the first look, which a registry that hangs may keep for `timeout` seconds.
        Loading goes on meanwhile: ask `ready`."""
        self._thread.start()
        self._looked.wait(timeout)
        return self.ready()

    def wake(self) -> None:
        """Look now, without waiting for the next time: after a switch that was asked for in this process."""
        self._wake.set()

    def ready(self) -> Readiness:
        """For the health check. Not ready: nothing serves yet, or another set is committed and not here yet."""
        serving, goal = self.serving.live.serving(), self._desired.committed
        if serving is None and goal is None:
            return Readiness(False, self._away or "nothing was committed yet, and nothing serves", self._away)
        if self._arrived or (goal is None and serving is not None):
            return Readiness(True, away=self._away)
        assert goal is not None
        failed = self._failed.get(goal.generation)
        what = f"generation {goal.generation} ({spoken(goal.versions)})"
        return Readiness(False, f"{what} cannot be loaded: {failed[1]}" if failed else f"{what} loads", self._away)

    @property
    def generation(self) -> int:
        """The generation that serves here, 0 for none. An answer names that of its lease: `lease.set.generation`."""
        serving = self.serving.live.serving()
        return 0 if serving is None else serving.generation

    def status(self) -> Beat:
        """What this member says of itself."""
        return self._about()

    def close(self, timeout: float = 10.0) -> None:
        """Ceases to follow, and leaves the barrier at once. What serves goes on serving."""
        with self._lock:
            self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        self._abandon(frozenset(self._prepared) | frozenset(self._loading))
        try:
            self._members.leave(self.key)
        except RegistryUnavailable as error:
            _log.warning("%s is taken for dead after a while: %s", self.name, error)

    # -- the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._turn()
            except Exception:  # whatever it is: a member that does not follow any more must not look alive and well
                _log.exception("%s looks again in %g s", self.name, self.timings.poll)
            self._looked.set()
            self._wake.wait(self.timings.poll)
            self._wake.clear()

    def _turn(self) -> None:
        reached = self._look()
        self._pursue()
        if reached:
            try:
                self._beat()
                self._end_abandoned()
            except RegistryUnavailable as error:
                self._out_of_reach(error)

    def _look(self) -> bool:
        """Reads what is desired; False where the registry is out of reach, or is not the one that it was."""
        try:
            desired = self._log.read()
            if desired.revision < self._desired.revision:
                raise RegistryUnavailable(
                    f"the registry knows revision {desired.revision} of the desired state, and this member has seen "
                    f"{self._desired.revision}",
                    "is another file system mounted, or an old copy?",
                )
        except (RegistryUnavailable, IntegrityError) as error:
            self._out_of_reach(error)
            return False
        if self._away:
            _log.warning("%s reaches the registry again", self.name)
        self._away = ""
        self._desired = desired
        return True

    def _out_of_reach(self, error: ModelHostError) -> None:
        if not self._away:
            _log.warning("%s keeps what was committed last: %s", self.name, error)
        self._away = str(error)

    # -- towards the goal ------------------------------------------------------------------------------------------

    def _pursue(self) -> None:
        for action in choose(self._desired, self._holding(), self._clock()):
            if isinstance(action, Abandon):
                self._abandon(action.generations)
            elif isinstance(action, Flip):
                with self._lock:
                    leases = self._prepared.pop(action.goal.generation)
                self._flip(action.goal, leases)
            elif isinstance(action.goal, Committed) and (leases_here := self._at_hand(action.goal)) is not None:
                self._flip(action.goal, leases_here)
            else:
                self._load(action.goal)
        arrived = has_arrived(self._desired, self._serves())
        if arrived and not self._arrived and self._desired.committed is not None:
            self._memory.keep(self._desired)
        self._arrived = arrived and self._serves() is not None

    def _at_hand(self, goal: Committed) -> Leases | None:
        return held(self.serving, goal.versions, goal.generation)

    def _flip(self, goal: Committed, leases: Leases) -> None:
        try:
            self._flipper.flip(goal, leases)
        except Conflict as error:
            _log.warning("%s tries again: %s", self.name, error)
            return
        self._memory.keep(self._desired)

    def _load(self, goal: Committed | Proposal) -> None:
        mark = object()
        with self._lock:
            self._loading[goal.generation] = mark
            self._failed.pop(goal.generation, None)
        work = threading.Thread(target=self._bring, args=(goal, mark), name="modelhost-follower-load", daemon=True)
        work.start()

    def _bring(self, goal: Committed | Proposal, mark: object) -> None:
        leases: Leases = {}
        failure = ""
        try:
            leases = prepare(self.serving, goal.versions, goal.generation)
        except ModelHostError as error:
            failure = str(error)
        except BaseException as error:
            _log.exception("generation %d", goal.generation)
            failure = f"{type(error).__name__}: {error}"
        with self._lock:
            wanted = self._loading.get(goal.generation) is mark and not self._stopping
            if wanted:
                del self._loading[goal.generation]
                if failure:
                    _log.error("%s cannot load generation %d: %s", self.name, goal.generation, failure)
                    self._failed[goal.generation] = (self._clock() + self.timings.retry, failure)
                else:
                    self._prepared[goal.generation] = leases
        if not wanted:
            let_go(leases)
        self._wake.set()

    def _abandon(self, generations: frozenset[int]) -> None:
        with self._lock:
            leases = [self._prepared.pop(number) for number in generations if number in self._prepared]
            for number in generations:
                self._loading.pop(number, None)
        for each in leases:
            let_go(each)

    def _holding(self) -> Holding:
        with self._lock:
            known = {goal.generation for goal in (self._desired.committed, self._desired.proposal) if goal is not None}
            self._failed = {number: each for number, each in self._failed.items() if number in known}
            failed = {number: until for number, (until, _) in self._failed.items()}
            return Holding(self._serves(), frozenset(self._prepared), frozenset(self._loading), failed)

    def _serves(self) -> tuple[int, Mapping[str, str]] | None:
        serving = self.serving.live.serving()
        return None if serving is None else (serving.generation, dict(serving.versions))

    # -- signs of life ---------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        """When there is something new to say, and every now and then."""
        beat = self._about()
        if beat.same_as(self._last) and self._clock() - self._last_beat < self.timings.beat:
            return
        beat = beat.model_copy(update={"count": self._last.count + 1})
        self._members.beat(beat)
        self._last, self._last_beat = beat, self._clock()

    def _about(self) -> Beat:
        readiness = self.ready()
        serving = self._serves()
        state, generation, reason = self._standing()
        return Beat(
            key=self.key,
            name=self.name,
            state=state,
            generation=generation,
            reason=reason or readiness.reason or readiness.away,
            serves=serving[0] if serving else 0,
            versions=dict(serving[1]) if serving else {},
            ready=readiness.ready,
            revision=self._desired.revision,
        )

    def _standing(self) -> tuple[State, int, str]:
        """About the proposal, where there is one; its coordinator waits for that."""
        holding, desired = self._holding(), self._desired
        goal: Committed | Proposal | None = desired.proposal
        if goal is None and not self._arrived:
            goal = desired.committed
        if goal is None:
            return (State.SERVING, holding.serves[0], "") if holding.serves else (State.WAITING, 0, "")
        number = goal.generation
        if number in holding.prepared:
            return State.LOADED, number, ""
        if number in holding.failed:
            return State.UNABLE, number, self._failed[number][1]
        return State.LOADING, number, ""

    def _end_abandoned(self) -> None:
        if not self._proposals.is_abandoned(self._desired.proposal):
            return
        reason = why_abandoned(self._desired, self.timings.ttl)
        try:
            self._log.write(self._desired.abort(self.name, reason, self._now()))
        except Conflict:
            return  # another one did it, or the coordinator did something
        _log.warning("%s aborted a proposal: %s", self.name, reason)
