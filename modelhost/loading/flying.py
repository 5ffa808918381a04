"""The loads of a pool, each in a thread of its own: begun once whoever asks, given up, landed as a resident or not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from modelhost.loading import garbage
from modelhost.loading.books import Books, shutting_down
from modelhost.loading.bring import Bringer, Brought
from modelhost.loading.flight import Flight, Waiter, as_load_failure
from modelhost.loading.lease import Key, Lease, Resident
from modelhost.loading.memory import Reservation
from modelhost.loading.wanted import GivenUp, asking

Grant = Callable[[Resident, str, bool], Lease]
"""Resident, holder, whether it was loaded for this → a lease; called under the lock of the books."""

_FIRST_GUESS_SECONDS = 2.0  # how long a load takes, before one was seen


class Flying:
    """Brings versions into the books."""

    def __init__(self, books: Books, bringer: Bringer, grant: Grant) -> None:
        self._books = books
        self._bringer = bringer
        self._grant = grant
        self._durations: dict[str, float] = {}

    def join(self, key: Key, waiter: Waiter) -> Flight | None:
        """Lets the waiter wait; returns the load where it is a new one, which is to `begin`. Under the lock."""
        flight = self._books.flights.get(key)
        if flight is not None:
            flight.waiters.append(waiter)
            return None
        expected = self._durations.get(key[0], _FIRST_GUESS_SECONDS)
        flight = self._books.flights[key] = Flight(key, self._books.clock(), expected, [waiter])
        return flight

    def begin(self, flight: Flight) -> None:
        """Starts the thread. Without the lock."""
        try:
            name = f"modelhost-load-{flight.key[0]}"
            threading.Thread(target=self._fly, args=(flight,), name=name, daemon=True).start()
        except RuntimeError as error:
            self._land(flight, error)

    def _fly(self, flight: Flight) -> None:
        garbage.set_aside()
        try:
            with asking(partial(self._ask_if_wanted, flight)):
                brought = self._bringer.bring(flight.key, partial(self._reserve, flight), partial(self._settle, flight))
        except BaseException as error:
            self._land(flight, error)
        else:
            self._land(flight, brought)

    def _land(self, flight: Flight, outcome: Brought | BaseException) -> None:
        error: BaseException | None = outcome if isinstance(outcome, BaseException) else None
        grants: list[tuple[Waiter, Lease]] = []
        late: Resident | None = None
        with self._books.lock:
            if flight in self._books.given_up:
                self._books.given_up.remove(flight)
            else:
                del self._books.flights[flight.key]
            if isinstance(outcome, Brought):
                resident = Resident(outcome.loaded, outcome.reservation, outcome.timing, self._books.clock())
                self._books.residents[flight.key] = resident
                self._durations[flight.key[0]] = outcome.timing.load + outcome.timing.warm_up
                if self._books.closed:
                    self._books.remove(resident)
                    late, error = resident, shutting_down()
                elif flight.is_unwanted:
                    self._books.remove(resident)
                    late = resident
                else:
                    claims = [waiter for waiter in flight.waiters if not waiter.cancelled()]
                    grants = [(waiter, self._grant(resident, waiter.holder, True)) for waiter in claims]
                    resident.leaving = flight.is_left and not resident.holders
            self._books.changed.notify_all()
        for waiter, lease in grants:
            waiter.grant(lease)
        if late is not None:
            self._books.bury(late)
        if error is not None:
            for waiter in flight.waiters:
                waiter.fail(as_load_failure(flight.key, error))

    def _reserve(self, flight: Flight, size: int, holder: str, device: str) -> Reservation:
        def attempt() -> Reservation:
            self._demand_wanted(flight)
            flight.reservation = self._books.budget.reserve(size, holder, device)
            return flight.reservation

        with self._books.lock:
            fits = size <= self._books.budget.limit(device)
            spares = self._books.take_spares() if fits and flight.is_for_a_set else []
        for each in spares:
            self._books.bury(each)
        return self._books.make_room(attempt, lambda: size, device, flight)

    def _settle(self, flight: Flight, reservation: Reservation, size: int) -> None:
        def attempt() -> None:
            self._demand_wanted(flight)
            reservation.settle(size)

        self._books.make_room(attempt, lambda: size - reservation.bytes, reservation.device, flight)

    def _ask_if_wanted(self, flight: Flight) -> None:
        with self._books.lock:
            self._demand_wanted(flight)

    def _demand_wanted(self, flight: Flight) -> None:
        """Whoever asks after this begins a load of their own. Under the lock. Raises GivenUp."""
        if flight.is_unwanted:
            if flight not in self._books.given_up:
                self._books.given_up.append(self._books.flights.pop(flight.key))
            raise GivenUp(f"{' '.join(flight.key)} is wanted by nobody any more", "ask again")
