"""A set in a member's memory, beside the one that serves: brought there, let go, or flipped to."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future

from modelhost.errors import Refused
from modelhost.loading.lease import Lease
from modelhost.registry.base import Entry, Status
from modelhost.serving.serving import Serving
from modelhost.serving.switching import check_fit

Leases = dict[str, Lease]
"""Component → its lease; whoever has it flips or lets go."""


def held(serving: Serving, versions: Mapping[str, str], generation: int) -> Leases | None:
    """The set, where all of it is in memory already; asks no registry."""
    leases: Leases = {}
    for component, version in versions.items():
        lease = serving.pool.try_lease(component, version, _holder(generation))
        if lease is None:
            let_go(leases)
            return None
        leases[component] = lease
    return leases


def prepare(serving: Serving, versions: Mapping[str, str], generation: int) -> Leases:
    """Checks that the set fits together and loads it, for as long as that takes. Raises what a load raises, and then
    what was loaded for it leaves again."""
    entries = {component: _find(serving, component, version) for component, version in versions.items()}
    check_fit(entries.values())
    requested: dict[str, Future[Lease]] = {}
    try:
        for component, entry in entries.items():
            requested[component] = serving.pool.request(component, entry.version, _holder(generation))
        return {component: future.result() for component, future in requested.items()}
    except BaseException:
        for future in requested.values():
            future.add_done_callback(_leave)
        raise


def let_go(leases: Leases) -> None:
    """Gives the set back; what was loaded for it alone leaves memory."""
    for lease in leases.values():
        lease.release(leave=lease.fresh)


def _find(serving: Serving, component: str, version: str) -> Entry:
    entry = serving.registry.find(component, version)
    if entry.status is Status.REJECTED:
        raise Refused(f"{component} {version} is rejected", "mark it stable first, or name another")
    return entry


def _holder(generation: int) -> str:
    return f"generation {generation} of the cluster"


def _leave(done: Future[Lease]) -> None:
    if not done.cancelled() and done.exception() is None:
        lease = done.result()
        lease.release(leave=lease.fresh)
