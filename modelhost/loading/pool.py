"""The pool: which versions are in memory. Loaded once whoever asks, counted, evicted when idle, never while in use."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from functools import partial

from modelhost.errors import Loading
from modelhost.loading.base import Loader, Placement
from modelhost.loading.books import Books, canonical, shutting_down
from modelhost.loading.bring import Bringer, Check
from modelhost.loading.flight import Waiter
from modelhost.loading.flying import Flying
from modelhost.loading.lease import Key, Lease, Resident
from modelhost.loading.leaving import Leaving
from modelhost.loading.memory import Budget
from modelhost.loading.residency import Residency
from modelhost.registry.base import Entry, Registry


def in_a_thread(work: Callable[[], None]) -> None:
    """Runs `work` aside, so that the request which gave the last lease back does not wait until memory is freed."""
    try:
        threading.Thread(target=work, name="modelhost-close", daemon=True).start()
    except RuntimeError:  # no thread can be had: late is better than never
        work()


class Pool:
    """Versions in memory, by component and canonical version. Safe between threads, usable from asyncio.

    A version leaves when it is evicted: by `sweep` after `idle_seconds` without a lease, or, the longest unused first,
    when a load needs its room. Leased and pinned ones stay. Its memory counts until its `close` has returned, and
    `close` is called exactly once, after the last lease. A load waits up to `patience` seconds for memory of those
    that leave already, or still load and are wanted by nobody. `aside` runs the closing that a returned lease brings
    about.
    """

    def __init__(
        self,
        registry: Registry,
        loaders: Mapping[str, Loader],
        budget: Budget,
        *,
        placement: Callable[[Entry], Placement] = lambda entry: Placement(),
        checks: Sequence[Check] = (),
        idle_seconds: float | None = None,
        patience: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        aside: Callable[[Callable[[], None]], None] = in_a_thread,
    ) -> None:
        self.budget = budget
        self._bringer = Bringer(registry, loaders, placement, tuple(checks))
        self._patience = patience
        self._clock = clock
        self._aside = aside
        self._books = Books(budget, clock)
        self._flying = Flying(self._books, self._bringer, self._grant)
        leaving = Leaving(self._books, idle_seconds)
        self.sweep, self.unload, self.discard = leaving.sweep, leaving.unload, leaving.discard
        self.pin, self.unpin, self.close = leaving.pin, leaving.unpin, leaving.close

    # -- leases ----------------------------------------------------------------------------------------------------

    def lease(self, component: str, version: str, wait: float | None = None, holder: str = "") -> Lease:
        """A lease on a version, which is loaded where it is not. Microseconds for one that is in memory.

        `wait`: seconds, None for as long as it takes; afterwards Loading, and the load goes on. `holder`: a name for
        who keeps it for long, which `unload` and `discard` respect. Raises what a load raises: Unknown, Refused and its
        kin, NoRoom, LoadFailed.
        """
        with self._books.lock:
            resident = self._books.residents.get((component, version))
            if resident is not None:
                return self._grant(resident, holder)
        waiting = self.request(component, version, holder)
        try:
            return waiting.result(wait)
        except TimeoutError:
            if waiting.cancel():
                raise self._still_loading(component, version) from None
            return waiting.result()  # it was granted just now
        except BaseException:
            _give_up(waiting)
            raise

    async def lease_async(self, component: str, version: str, wait: float | None = None, holder: str = "") -> Lease:
        """`lease` for an event loop, which it never blocks."""
        waiting = self.request(component, version, holder)
        if waiting.done():
            return waiting.result()
        try:
            return await asyncio.wait_for(asyncio.wrap_future(waiting), wait)
        except TimeoutError:
            _give_up(waiting)
            raise self._still_loading(component, version) from None
        except asyncio.CancelledError:
            _give_up(waiting)
            raise

    def try_lease(self, component: str, version: str, holder: str = "") -> Lease | None:
        """A lease on a version that is in memory, or None. Loads nothing."""
        with self._books.lock:
            resident = self._books.residents.get((component, version))
            return None if resident is None else self._grant(resident, holder)

    def request(self, component: str, version: str, holder: str = "", patience: float | None = None) -> Future[Lease]:
        """A future of a lease; begins a load unless one is under way. Cancel it to give up; the load goes on.

        `patience`: seconds that the load may wait for room, where that is not what the pool says.
        """
        key = component, canonical(version)
        waiter = Waiter(holder, self._patience if patience is None else patience)
        with self._books.lock:
            resident = self._books.residents.get(key)
            if resident is not None:
                waiter.set_result(self._grant(resident, holder))
                return waiter
            if self._books.closed:
                raise shutting_down()
            flight = self._flying.join(key, waiter)
        if flight is not None:
            self._flying.begin(flight)
        return waiter

    def abandon(self, wanted: Future[Lease]) -> bool:
        """Gives a request up, and what is being loaded for it alone: that stops at the next step, or leaves again.

        False where the lease has come already: then it is the caller's to release.
        """
        if isinstance(wanted, Waiter):
            wanted.leave = True
        gone = wanted.cancel()
        with self._books.lock:
            self._books.changed.notify_all()
        return gone

    def spare(self, versions: Iterable[Key]) -> None:
        """These and no others are kept for a quick way back: they leave before anything is loaded for another set."""
        with self._books.lock:
            self._books.spare = frozenset(versions)

    def _grant(self, resident: Resident, holder: str, fresh: bool = False) -> Lease:
        if self._books.closed:
            raise shutting_down()
        resident.leases += 1
        resident.used = self._clock()
        if holder:
            resident.holders[holder] += 1
        resident.leaving = False  # it is wanted again
        return Lease(self, resident, holder, fresh)

    def _take_back(self, lease: Lease, leave: bool) -> None:
        with self._books.lock:
            resident = lease._resident
            if resident is None:
                return
            lease._resident = None
            resident.leases -= 1
            resident.used = self._clock()
            if lease.holder:
                resident.holders[lease.holder] -= 1
                resident.holders += type(resident.holders)()  # drops the zeros
            if (leave or self._books.is_in_the_way(resident)) and not resident.holders:
                resident.leaving = True
            if resident.leases or resident.key in self._books.pinned:
                return
            if not resident.leaving:
                self._books.changed.notify_all()  # it may be evicted now: a load that waits for another's room takes it
                return
            self._books.remove(resident)
        self._aside(partial(self._books.bury, resident))

    def _still_loading(self, component: str, version: str) -> Loading:
        with self._books.lock:
            flight = self._books.flights.get((component, canonical(version)))
            retry_after = flight.retry_after(self._clock()) if flight else 1.0
        return Loading(f"{component} {version} is being loaded", "try again", retry_after)

    def check(self, component: str, version: str) -> Entry:
        """Runs the checks of a load alone, also for one in memory. Raises what they raise, and Unknown."""
        entry = self._bringer.registry.find(component, canonical(version))
        self._bringer.check(entry)
        return entry

    # -- looking ---------------------------------------------------------------------------------------------------

    def residents(self) -> list[Residency]:
        """What is in memory, sorted by component and version."""
        with self._books.lock:
            now = self._clock()
            return [
                Residency.of(each, key in self._books.pinned, now)
                for key, each in sorted(self._books.residents.items(), key=_key)
            ]

    def loading(self) -> list[Key]:
        """What is being loaded at this moment."""
        with self._books.lock:
            return sorted(self._books.flights)


def _key(item: tuple[Key, Resident]) -> Key:
    return item[0]


def _give_up(waiting: Future[Lease]) -> None:
    """A lease that comes nevertheless goes back at once."""
    if not waiting.cancel():
        waiting.add_done_callback(_return)


def _return(done: Future[Lease]) -> None:
    try:
        done.result().release()
    except (CancelledError, Exception):
        return
