"""The leases of a set that is to serve: asked for at once, had as a whole or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future

from modelhost.errors import Loading
from modelhost.loading.lease import Key, Lease
from modelhost.loading.pool import Pool
from modelhost.serving.live import Member


def lease_all(
    pool: Pool, versions: Mapping[str, str], ask: Callable[[str, str], Future[Lease]], timeout: float | None = None
) -> dict[str, Lease]:
    """Component → its lease, once all are there. `ask`: component and version → a lease to come. Raises what that and a
    load raise, CancelledError where one was given up from outside, and Loading after `timeout` seconds.

    After an error, what was loaded for the set leaves again, what still loads as soon as it has landed; after a
    time-out, it may be found loaded the next time.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    asked: dict[str, Future[Lease]] = {}
    late = False
    try:
        there = resident(pool)
        # what is there first: a load for a set makes those leave that were kept for a way back
        for component, version in sorted(versions.items(), key=lambda each: each not in there):
            asked[component] = ask(component, version)
        leases: dict[str, Lease] = {}
        for component, future in asked.items():
            try:
                leases[component] = future.result(None if deadline is None else max(deadline - time.monotonic(), 0))
            except TimeoutError:
                late = True
                raise Loading(f"{component} took too long to load", "it still loads; ask again", 5.0) from None
    except BaseException:
        for future in asked.values():
            if not (future.cancel() if late else pool.abandon(future)):
                future.add_done_callback(_leave)
        raise
    return leases


def resident(pool: Pool) -> set[Key]:
    """What is in memory."""
    return {(each.component, each.version) for each in pool.residents()}


def give_back(members: Iterable[Member]) -> None:
    """Of a set that does not serve: what was loaded for it alone leaves memory. A fallback stays."""
    for each in members:
        if isinstance(each, Lease):
            each.release(leave=each.fresh)


def _leave(done: Future[Lease]) -> None:
    """Also what comes late."""
    if not done.cancelled() and done.exception() is None:
        give_back([done.result()])
