"""A member: the thread in each process that ties what is desired to what serves there.

It looks at the desired state, lets the pursuit do what is to be done for it, and shows signs of life. Out of the
registry's reach it keeps what was committed last, goes on serving, and says so.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from modelhost.cluster.desired import Committed, DesiredLog
from modelhost.cluster.members import Beat, Members
from modelhost.cluster.memory import Memory
from modelhost.cluster.place import Place
from modelhost.cluster.proposals import Proposals, why_abandoned
from modelhost.cluster.pursuit import Pursuit
from modelhost.cluster.timings import Timings
from modelhost.cluster.whereabouts import here
from modelhost.errors import Conflict, IntegrityError, ModelHostError, RegistryUnavailable
from modelhost.loading.base import Loaded
from modelhost.registry.directory import utc_now
from modelhost.registry.retention import Named
from modelhost.serving.serving import Serving

_log = logging.getLogger(__name__)
_WAYS_BACK = 3  # committed sets of which a member's local copies stay


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a load balancer should send requests here, and why not; `away`: what is wrong with the registry."""

    ready: bool
    reason: str = ""
    away: str = ""


class Follower:
    """A member of a cluster. Start it in the process that serves, after any fork; `serving` is switched by it alone.

    `name` is for people, by default host and process; `memory` is a file on the member's own disk, `fallbacks`
    are those of `serving`; `found` is called when a version that is held has come into memory. Requests never wait for
    it: they lease from `serving`, whose sets carry the generation. Close it before `serving`.
    """

    def __init__(
        self,
        serving: Serving,
        place: Place,
        timings: Timings | None = None,
        *,
        name: str = "",
        memory: Path | None = None,
        fallbacks: Iterable[Loaded] = (),
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
        found: Callable[[], None] = lambda: None,
    ) -> None:
        self.serving = serving
        self.timings = timings or Timings()
        self.name = name or f"{socket.gethostname()}-{os.getpid()}"
        self.key = f"{re.sub(r'[^A-Za-z0-9_-]', '_', self.name)}-{os.urandom(4).hex()}"
        self._log = DesiredLog(place)
        self._members = Members(place, self.timings.ttl, clock)
        self._proposals = Proposals(place, self.timings.ttl, clock)
        self._clock = clock
        self._now = now
        remembered = Memory(memory)
        self._desired = remembered.recall()
        self._away = ""
        self._last = Beat(key=self.key, name=self.name)
        self._last_beat = float("-inf")
        self._stopping = False
        self._wake = threading.Event()
        self._looked = threading.Event()
        self._turned = threading.Condition()
        self._said = 0  # the generation that served here at the last turn's end
        self._pursuit = Pursuit(
            serving,
            remembered,
            self.timings.retry,
            clock,
            fallbacks=fallbacks,
            now=now,
            found=found,
            ended=self._wake.set,
        )
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

    def arrives(self, generation: int, timeout: float) -> bool:
        """Waits until this generation, or a later one, serves here and was shown to the others, or for `timeout`
        seconds; whether it does."""
        with self._turned:
            return self._turned.wait_for(lambda: self._said >= generation, timeout)

    def ready(self) -> Readiness:
        """For the health check. Not ready: nothing serves yet, or another set is committed and not here yet."""
        goal = self._desired.committed
        if self._pursuit.arrived:
            return Readiness(True, away=self._away)
        if goal is None:
            return Readiness(False, self._away or "nothing was committed yet, and nothing serves", self._away)
        return Readiness(False, self._pursuit.why_not(goal), self._away)

    @property
    def committed(self) -> Committed | None:
        """The set that is to serve here, as far as this member knows; None where none ever was."""
        return self._desired.committed

    def wanted(self) -> set[Named]:
        """Versions that are committed, proposed, held, or were committed lately, as far as this member knows."""
        desired = self._desired
        goals = (desired.committed, desired.proposal, *desired.previous[-_WAYS_BACK:])
        held = {Named(each.component, each.version) for each in desired.held.holds}
        return held | {Named(*item) for goal in goals if goal is not None for item in goal.versions.items()}

    @property
    def generation(self) -> int:
        """The generation that serves here, 0 for none. An answer names that of its lease: `lease.set.generation`."""
        serves = self._pursuit.serves
        return 0 if serves is None else serves[0]

    def status(self) -> Beat:
        """What this member says of itself."""
        readiness, serves = self.ready(), self._pursuit.serves
        state, generation, reason = self._pursuit.standing(self._desired)
        return Beat(
            key=self.key,
            name=self.name,
            state=state,
            generation=generation,
            reason=reason or readiness.reason or readiness.away,
            serves=serves[0] if serves else 0,
            versions=dict(serves[1]) if serves else {},
            ready=readiness.ready,
            revision=self._desired.revision,
            holds=self._pursuit.held(),
            memory=self._pursuit.in_memory(),
            process=here(),
        )

    def close(self, timeout: float = 10.0) -> None:
        """Ceases to follow, and leaves the barrier at once. What serves goes on serving."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        self._pursuit.close()
        try:
            self._members.leave(self.key)
        except RegistryUnavailable as error:
            _log.warning("%s is taken for dead after a while: %s", self.name, error)

    # -- the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                self._turn()
            except Exception:  # no sign of life either: who does not follow any more must not look alive and well
                _log.exception("%s looks again in %g s", self.name, self.timings.poll)
            self._looked.set()
            with self._turned:
                self._said = self.generation
                self._turned.notify_all()
            if not self._stopping:
                self._wake.wait(self.timings.poll)

    def _turn(self) -> None:
        reached = self._look()
        self._pursuit.follow(self._desired)
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

    # -- signs of life ---------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        """When there is something new to say, and every now and then."""
        beat = self.status()
        if beat.same_as(self._last) and self._clock() - self._last_beat < self.timings.beat:
            return
        beat = beat.model_copy(update={"count": self._last.count + 1})
        self._members.beat(beat)
        self._last, self._last_beat = beat, self._clock()

    def _end_abandoned(self) -> None:
        proposal = self._desired.proposal
        if not self._proposals.is_abandoned(proposal) or proposal is None:
            return
        reason = why_abandoned(self._desired, self.timings.ttl)
        try:
            self._log.write(self._desired.abort(self.name, reason, self._now()))
        except Conflict:
            return  # another one did it, or the coordinator did something
        self._proposals.done(proposal.generation)
        _log.warning("%s aborted a proposal: %s", self.name, reason)
