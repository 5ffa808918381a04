"""The pool: which versions are in memory. Loaded once whoever asks, counted, evicted when idle, never while in use."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import TypeVar

from modelhost.errors import Conflict, InvalidRequest, Loading, NoRoom, Unavailable, Unknown
from modelhost.loading.base import Loader, Placement
from modelhost.loading.bring import Bringer, Brought, Check, close
from modelhost.loading.flight import Flight, Waiter, as_load_failure
from modelhost.loading.lease import Key, Lease, Resident
from modelhost.loading.memory import Budget, Reservation
from modelhost.loading.residency import Residency
from modelhost.metadata import canonical_version
from modelhost.registry.base import LATEST, Entry, Registry

T = TypeVar("T")
_FIRST_GUESS_SECONDS = 2.0  # how long a load takes, before one was seen


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
    that leave already. `aside` runs the closing that a returned lease brings about.
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
        self._idle_seconds = idle_seconds
        self._patience = patience
        self._clock = clock
        self._aside = aside
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)  # memory came back, or a load ended
        self._residents: dict[Key, Resident] = {}
        self._flights: dict[Key, Flight] = {}
        self._closing: list[Resident] = []
        self._pinned: set[Key] = set()
        self._durations: dict[str, float] = {}
        self._closed = False

    # -- leases ----------------------------------------------------------------------------------------------------

    def lease(self, component: str, version: str, wait: float | None = None, holder: str = "") -> Lease:
        """A lease on a version, which is loaded where it is not. Microseconds for one that is in memory.

        `wait`: seconds, None for as long as it takes; afterwards Loading, and the load goes on. `holder`: a name for
        who keeps it for long, which `unload` and `discard` respect. Raises what a load raises: Unknown, Refused and its
        kin, NoRoom, LoadFailed.
        """
        with self._lock:
            resident = self._residents.get((component, version))
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
        with self._lock:
            resident = self._residents.get((component, version))
            return None if resident is None else self._grant(resident, holder)

    def request(self, component: str, version: str, holder: str = "") -> Future[Lease]:
        """A future of a lease; begins a load unless one is under way. Cancel it to give up; the load goes on."""
        key = component, _canonical(version)
        waiter = Waiter(holder)
        with self._lock:
            resident = self._residents.get(key)
            if resident is not None:
                waiter.future.set_result(self._grant(resident, holder))
                return waiter.future
            if self._closed:
                raise _shutting_down()
            flight = self._flights.get(key)
            if flight is not None:
                flight.waiters.append(waiter)
                return waiter.future
            expected = self._durations.get(component, _FIRST_GUESS_SECONDS)
            flight = self._flights[key] = Flight(key, self._clock(), expected, [waiter])
        try:
            threading.Thread(target=self._fly, args=(flight,), name=f"modelhost-load-{component}", daemon=True).start()
        except RuntimeError as error:
            self._land(flight, error)
        return waiter.future

    def _grant(self, resident: Resident, holder: str, fresh: bool = False) -> Lease:
        if self._closed:
            raise _shutting_down()
        resident.leases += 1
        resident.used = self._clock()
        if holder:
            resident.holders[holder] += 1
        resident.leaving = False  # it is wanted again
        return Lease(self, resident, holder, fresh)

    def _take_back(self, lease: Lease, leave: bool) -> None:
        with self._lock:
            resident = lease._resident
            if resident is None:
                return
            lease._resident = None
            resident.leases -= 1
            resident.used = self._clock()
            if lease.holder:
                resident.holders[lease.holder] -= 1
                resident.holders += type(resident.holders)()  # drops the zeros
            if leave and not resident.holders:
                resident.leaving = True
            if resident.leases or not resident.leaving or resident.key in self._pinned:
                return
            self._remove(resident)
        self._aside(partial(self._bury, resident))

    def _still_loading(self, component: str, version: str) -> Loading:
        with self._lock:
            flight = self._flights.get((component, _canonical(version)))
            retry_after = flight.retry_after(self._clock()) if flight else 1.0
        return Loading(f"{component} {version} is being loaded", "try again", retry_after)

    # -- loading ---------------------------------------------------------------------------------------------------

    def _fly(self, flight: Flight) -> None:
        try:
            brought = self._bringer.bring(flight.key, self._reserve, self._settle)
        except BaseException as error:
            self._land(flight, error)
        else:
            self._land(flight, brought)

    def _land(self, flight: Flight, outcome: Brought | BaseException) -> None:
        error: BaseException | None = outcome if isinstance(outcome, BaseException) else None
        grants: list[tuple[Waiter, Lease]] = []
        late: Resident | None = None
        with self._lock:
            del self._flights[flight.key]
            if isinstance(outcome, Brought):
                resident = Resident(outcome.loaded, outcome.reservation, outcome.timing, self._clock())
                self._residents[flight.key] = resident
                self._durations[flight.key[0]] = outcome.timing.load + outcome.timing.warm_up
                if self._closed:
                    self._remove(resident)
                    late, error = resident, _shutting_down()
                else:
                    grants = [(waiter, self._grant(resident, waiter.holder, True)) for waiter in flight.waiters]
            self._changed.notify_all()
        for waiter, lease in grants:
            waiter.grant(lease)
        if late is not None:
            self._bury(late)
        if error is not None:
            for waiter in flight.waiters:
                waiter.fail(as_load_failure(flight.key, error))

    def _reserve(self, size: int, holder: str, device: str) -> Reservation:
        return self._with_room(lambda: self.budget.reserve(size, holder, device), lambda: size, device)

    def _settle(self, reservation: Reservation, size: int) -> None:
        self._with_room(lambda: reservation.settle(size), lambda: size - reservation.bytes, reservation.device)

    def _with_room(self, attempt: Callable[[], T], need: Callable[[], int], device: str) -> T:
        """Evicts and waits until `attempt` finds room. Evicts nobody where that would not make enough of it."""
        deadline = time.monotonic() + self._patience
        while True:
            with self._lock:
                try:
                    return attempt()
                except NoRoom:
                    victims = [each for each in self._evictable() if each.reservation.device == device]
                    lacking = need() - self.budget.free(device)
                    going = _bytes(self._closing, device)
                    leaving = _bytes([each for each in self._residents.values() if each.leaving], device)
                    if lacking > going + leaving + _bytes(victims, device):
                        raise
                    if not victims or lacking <= going:  # what is on its way out will do
                        if time.monotonic() >= deadline:
                            raise
                        self._changed.wait(deadline - time.monotonic())
                        continue
                    self._remove(victims[0])
            self._bury(victims[0])

    def check(self, component: str, version: str) -> Entry:
        """Runs the checks of a load alone, also for one in memory. Raises what they raise, and Unknown."""
        entry = self._bringer.registry.find(component, _canonical(version))
        self._bringer.check(entry)
        return entry

    # -- leaving ---------------------------------------------------------------------------------------------------

    def sweep(self) -> list[Key]:
        """Evicts what nobody has used for `idle_seconds`; returns what left. To be called now and then."""
        if self._idle_seconds is None:
            return []
        with self._lock:
            latest = self._clock() - self._idle_seconds
            idle = [each for each in self._evictable() if each.used <= latest]
            for resident in idle:
                self._remove(resident)
        for resident in idle:
            self._bury(resident)
        return [resident.key for resident in idle]

    def unload(self, component: str, version: str) -> bool:
        """Takes a version out of memory: True when it has left, False when it leaves with its last lease.

        Raises Conflict for one that is pinned or held by a set, Unknown for one that is not in memory.
        """
        key = component, _canonical(version)
        with self._lock:
            resident = self._residents.get(key)
            if resident is None:
                there = ", ".join(f"{c} {v}" for c, v in sorted(self._residents)) or "nothing"
                raise Unknown(f"{component} {version} is not in memory", f"in memory: {there}")
            if key in self._pinned:
                raise Conflict(f"{component} {version} is pinned", "unpin it first")
            if resident.holders:
                raise Conflict(f"{component} {version} is held by {', '.join(resident.holders)}", "swap it out first")
        return self.discard(component, version)

    def discard(self, component: str, version: str) -> bool:
        """Lets a version leave when nobody uses it; True when it is gone. Spares pinned ones and sets' members."""
        key = component, _canonical(version)
        with self._lock:
            resident = self._residents.get(key)
            if resident is None:
                return True
            if key in self._pinned or resident.holders:
                return False
            if resident.leases:
                resident.leaving = True
                return False
            self._remove(resident)
        self._bury(resident)
        return True

    def pin(self, component: str, version: str) -> None:
        """Never evict it, from now on or from its next load on. Loads nothing."""
        with self._lock:
            self._pinned.add((component, _canonical(version)))

    def unpin(self, component: str, version: str) -> None:
        """Takes a pin off; harmless where there is none."""
        with self._lock:
            self._pinned.discard((component, _canonical(version)))

    def close(self, timeout: float = 30.0) -> list[Key]:
        """No lease from now on; frees what is in memory as leases come back. Returns what was still in use at the end.

        Waits for loads in progress, for leases and for closing, `timeout` seconds in all.
        """
        deadline = time.monotonic() + timeout
        with self._lock:
            self._closed = True
            self._pinned.clear()
            while self._flights and self._changed.wait(max(deadline - time.monotonic(), 0)):
                pass
            for resident in self._residents.values():
                resident.leaving = True
            free = self._evictable()
            for resident in free:
                self._remove(resident)
        for resident in free:
            self._bury(resident)
        with self._lock:
            while self._residents or self._closing:
                if not self._changed.wait(max(deadline - time.monotonic(), 0)):
                    break
            return sorted({*self._residents, *(each.key for each in self._closing), *self._flights})

    def _evictable(self) -> list[Resident]:
        """Whose memory may be taken now, the longest unused first."""
        free = [each for key, each in self._residents.items() if not each.leases and key not in self._pinned]
        return sorted(free, key=lambda each: each.used)

    def _remove(self, resident: Resident) -> None:
        """Nobody finds it from here on; whoever removed it closes it."""
        del self._residents[resident.key]
        self._closing.append(resident)

    def _bury(self, resident: Resident) -> None:
        try:
            close(resident.loaded)
        finally:
            with self._lock:
                resident.reservation.release()
                self._closing.remove(resident)
                self._changed.notify_all()

    # -- looking ---------------------------------------------------------------------------------------------------

    def residents(self) -> list[Residency]:
        """What is in memory, sorted by component and version."""
        with self._lock:
            now = self._clock()
            return [
                Residency.of(each, key in self._pinned, now) for key, each in sorted(self._residents.items(), key=_key)
            ]

    def loading(self) -> list[Key]:
        """What is being loaded at this moment."""
        with self._lock:
            return sorted(self._flights)


def _shutting_down() -> Unavailable:
    return Unavailable("the service is shutting down")


def _key(item: tuple[Key, Resident]) -> Key:
    return item[0]


def _bytes(residents: Sequence[Resident], device: str) -> int:
    return sum(each.reservation.bytes for each in residents if each.reservation.device == device)


def _canonical(version: str) -> str:
    if version == LATEST:
        raise InvalidRequest("memory holds versions, not `latest`", "ask the registry which version that is")
    try:
        return canonical_version(version)
    except ValueError as error:
        raise InvalidRequest(f"{version!r} is no version", "write it like 1.2.0") from error


def _give_up(waiting: Future[Lease]) -> None:
    """A lease that comes nevertheless goes back at once."""
    if not waiting.cancel():
        waiting.add_done_callback(_return)


def _return(done: Future[Lease]) -> None:
    try:
        done.result().release()
    except (CancelledError, Exception):
        return
