"""Serving as a service sees it: lease the live set for a request; swap it, roll it back, ask who did what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from modelhost.loading.base import Loaded
from modelhost.loading.pool import Pool
from modelhost.registry.base import Registry
from modelhost.registry.directory import utc_now
from modelhost.serving.course import Courses
from modelhost.serving.events import Events, Subscriber
from modelhost.serving.history import History
from modelhost.serving.live import Live
from modelhost.serving.rollback import ROOM_SECONDS, Roller
from modelhost.serving.sets import ServingSet, SetLease
from modelhost.serving.startup import Starter
from modelhost.serving.swap import Swapper
from modelhost.serving.switching import Switching
from modelhost.serving.variants import Variants


class Serving:
    """Puts registry, pool and history together. Safe between threads; leases may be taken in an event loop.

    `fallbacks`: what serves for a component when nothing stable is left, made by `fallback`. `keep_previous`: see Live;
    `rollback_patience`: see Roller. Generations go on where the history ends.
    """

    def __init__(
        self,
        registry: Registry,
        pool: Pool,
        history: History,
        *,
        fallbacks: Iterable[Loaded] = (),
        keep_previous: bool = False,
        rollback_patience: float = ROOM_SECONDS,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        declared: Mapping[str, Loaded] = {each.component: each for each in fallbacks}
        self.registry = registry
        self.pool = pool
        self.history = history
        self.events = Events()
        last = max((record.generation for record in history.switches()), default=0)
        self.live = Live(pool, last, keep_previous)
        parts = Switching(registry, pool, self.live, history, self.events, now)
        courses = Courses(pool)
        swapper, roller = Swapper(parts, courses), Roller(parts, courses, declared, rollback_patience)
        starter = Starter(parts, swapper, declared)
        self.start, self.wanted, self.settle = starter.start, starter.wanted, starter.settle
        self.swap = swapper.swap
        self.rollback = roller.rollback
        self.variants = Variants(self.live, pool)

    def current(self) -> ServingSet:
        """What serves, to look at. Raises Unavailable where nothing serves yet."""
        return self.live.current()

    def lease(self) -> SetLease:
        """The live set for one request: `with serving.lease() as models: models["model"].model(…)`."""
        return self.live.lease()

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Tells `subscriber` of every switch and alert; returns what ends that."""
        return self.events.subscribe(subscriber)

    def close(self, timeout: float = 30.0) -> list[tuple[str, str]]:
        """Serves no new request, waits for the old ones and frees all; returns what was in use at the end."""
        self.live.close()
        still = self.pool.close(timeout)
        self.events.flush(timeout)
        return still
