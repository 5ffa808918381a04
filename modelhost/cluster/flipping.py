"""The flip of a member to a committed set: in its own history, and told to its subscribers as its part of a switch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from modelhost.cluster.desired import Committed
from modelhost.cluster.preparing import Prepared
from modelhost.serving.events import Event, Reach
from modelhost.serving.fallback import FALLBACK_VERSION
from modelhost.serving.history import Kind, Outcome, Record
from modelhost.serving.serving import Serving
from modelhost.serving.switching import Attempt, Ready, Switching


class Flipper:
    """Lets sets serve under the generation that the cluster gave them, whatever number served here before."""

    def __init__(self, serving: Serving, now: Callable[[], datetime]) -> None:
        self._serving = serving
        self._parts = Switching(serving.registry, serving.pool, serving.live, serving.history, serving.events, now)

    def flip(self, goal: Committed, prepared: Prepared) -> Record:
        """Makes the prepared the live set; they are its own from here on. Raises Conflict where somebody flipped at the
        same moment, and then they are given back."""
        parts, live = self._parts, self._serving.live
        started, before = time.perf_counter(), live.serving()
        ready = Ready(goal.generation, live.generation, dict(prepared))
        flip = parts.flip(ready, rejected=list(goal.rejected.items()))
        seconds = ready.seconds(started, flip, time.perf_counter())
        attempt = Attempt(_kind(goal, before is None), goal.who, goal.why, dict(before.versions) if before else {})
        rejected = {name: version for name, version in goal.rejected.items() if attempt.before.get(name) == version}
        stand_ins = tuple(name for name, each in goal.versions.items() if each == FALLBACK_VERSION)
        record = replace(
            attempt.record(parts.now(), Outcome.SWITCHED, goal.generation, goal.versions),
            rejected=rejected,
            fallbacks=stand_ins,
            seconds=seconds,
        )
        if problem := parts.write(record):
            record = replace(record, notes=(problem,))
        for name, version in goal.rejected.items():
            self._serving.pool.discard(name, version)
        fresh = [name for name in stand_ins if attempt.before.get(name) != FALLBACK_VERSION]
        self._serving.events.publish(Event(record, alert=bool(fresh), reach=Reach.PART))
        return record


def _kind(goal: Committed, is_first: bool) -> Kind:
    if is_first:
        return Kind.START
    return Kind.ROLLBACK if goal.kind == "rollback" else Kind.SWAP
