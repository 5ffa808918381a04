"""A promotion under way: its coordinator waits at the barrier, commits, aborts, or finds that somebody was faster."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from modelhost.cluster.barrier import Abort, Commit, Decision, Standing, View, decide
from modelhost.cluster.desired import Committed, Desired, DesiredLog
from modelhost.cluster.members import Members, by_name
from modelhost.cluster.place import Place
from modelhost.cluster.proposals import Proposals
from modelhost.cluster.timings import Timings
from modelhost.errors import Conflict, ModelHostError, RegistryUnavailable
from modelhost.serving.sets import spoken

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a coordinator works with; clock and sleep in seconds."""

    place: Place
    log: DesiredLog
    members: Members
    timings: Timings
    clock: Callable[[], float]
    now: Callable[[], datetime]
    sleep: Callable[[float], None]


class Promotion:
    """One proposal, from its first sign of life to its end."""

    def __init__(self, parts: Parts, proposed: Desired, deadline: float, at_least: int) -> None:
        assert proposed.proposal is not None
        self._parts = parts
        self._proposal = proposed.proposal
        self._deadline = deadline
        self._at_least = at_least
        self._behind = Proposals(parts.place, parts.timings.ttl, parts.clock)
        self._last_beat = float("-inf")

    def run(self) -> Committed:
        """Waits for the end of it. Raises Conflict, LoadFailed, Unavailable, RegistryUnavailable."""
        try:
            return self._wait()
        except BaseException as error:
            if not isinstance(error, ModelHostError):
                self._try_to_abort(f"the promotion was broken off: {type(error).__name__}")
            raise
        finally:
            self._quietly(lambda: self._behind.done(self._proposal.generation))

    def _wait(self) -> Committed:
        parts = self._parts
        while True:
            try:
                desired = parts.log.read()
                if (ended := self._ended(desired)) is not None:
                    return ended
                self._beat()
                if (outcome := self._act(desired)) is not None:
                    return outcome
            except RegistryUnavailable as error:
                # The members say nothing either. What becomes of the proposal, they or the next one decide.
                if parts.clock() >= self._deadline:
                    number = self._proposal.generation
                    raise RegistryUnavailable(
                        f"what became of generation {number} is not known: {error.message}",
                        "the report says it when the registry is back; without a commit, what served serves on",
                    ) from error
            except _Ended:
                raise
            except Conflict:
                continue  # what was read is not what counts any more
            parts.sleep(parts.timings.poll)

    def _act(self, desired: Desired) -> Committed | None:
        parts = self._parts
        decision = self._decide()
        if isinstance(decision, Commit):
            committed = desired.commit(parts.now())
            parts.log.write(committed)
            return committed.committed
        if isinstance(decision, Abort):
            parts.log.write(desired.abort(self._proposal.who, decision.reason, parts.now()))
            what = f"{spoken(self._proposal.versions)} was switched to nowhere, and what served serves on"
            raise decision.error(what, parts.timings.ttl)
        return None

    def _decide(self) -> Decision:
        members = {
            name: Standing(each.living, each.beat.state, each.beat.generation, each.beat.reason)
            for name, each in by_name(self._parts.members.observe()).items()
        }
        view = View(self._proposal.generation, members, self._deadline, self._at_least)
        return decide(view, self._parts.clock())

    def _ended(self, desired: Desired) -> Committed | None:
        """The committed set where an answer that was lost had done it. Raises what became of it otherwise."""
        number = self._proposal.generation
        if desired.proposal is not None and desired.proposal.generation == number:
            return None
        for committed in (desired.committed, *reversed(desired.previous)):
            if committed is not None and committed.generation == number:
                return committed
        aborted = desired.aborted
        why = f"{aborted.by}: {aborted.reason}" if aborted and aborted.generation == number else "look at the report"
        raise _Ended(f"{spoken(self._proposal.versions)} was aborted by somebody else", why)

    def _beat(self) -> None:
        if self._parts.clock() - self._last_beat >= self._parts.timings.beat:
            self._behind.stand_behind(self._proposal.generation)
            self._last_beat = self._parts.clock()

    def _try_to_abort(self, reason: str) -> None:
        def abort() -> None:
            desired = self._parts.log.read()
            if desired.proposal is not None and desired.proposal.generation == self._proposal.generation:
                self._parts.log.write(desired.abort(self._proposal.who, reason, self._parts.now()))

        self._quietly(abort)

    @staticmethod
    def _quietly(work: Callable[[], None]) -> None:
        try:
            work()
        except ModelHostError as error:
            _log.warning("left for the next one: %s", error)


class _Ended(Conflict):
    """Somebody else has ended the proposal."""
