"""The books of a pool: what is in memory, what is being loaded, what leaves, under one lock; room is made here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from modelhost.errors import InvalidRequest, NoRoom, Unavailable
from modelhost.loading.bring import close
from modelhost.loading.flight import Flight
from modelhost.loading.lease import Key, Resident
from modelhost.loading.memory import Budget
from modelhost.metadata import canonical_version
from modelhost.registry.base import LATEST

T = TypeVar("T")


class Books:
    """Every field is guarded by `lock`; `changed` is notified when memory came back or may be taken, or a load ended or
    was given up.

    `given_up`: loads that nobody joins any more, and whose threads have not ended yet. `spare`: versions kept for a
    quick way back, which leave before another set is loaded. Methods are called under the lock, where they do not say
    otherwise.
    """

    def __init__(self, budget: Budget, clock: Callable[[], float]) -> None:
        self.budget = budget
        self.clock = clock
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.residents: dict[Key, Resident] = {}
        self.flights: dict[Key, Flight] = {}
        self.given_up: list[Flight] = []
        self.closing: list[Resident] = []
        self.pinned: set[Key] = set()
        self.spare: frozenset[Key] = frozenset()
        self.closed = False

    def evictable(self) -> list[Resident]:
        """Whose memory may be taken now, the longest unused first."""
        free = [each for key, each in self.residents.items() if not each.leases and key not in self.pinned]
        return sorted(free, key=lambda each: each.used)

    def take_spares(self) -> list[Resident]:
        """Removes the spare ones that nobody uses; what is in use leaves with its last lease, see `is_in_the_way`."""
        found = [each for each in self.evictable() if each.key in self.spare]
        for each in found:
            self.remove(each)
        return found

    def is_in_the_way(self, resident: Resident) -> bool:
        """Whether a spare one should leave because a set is being loaded."""
        return resident.key in self.spare and any(flight.is_for_a_set for flight in self.flights.values())

    def remove(self, resident: Resident) -> None:
        """Nobody finds it from here on; whoever removed it buries it."""
        del self.residents[resident.key]
        self.closing.append(resident)

    def bury(self, resident: Resident) -> None:
        """Closes what was removed, and gives its memory back. Without the lock.

        The model is let go of before anybody hears that it has left: whoever waits for this may end the process next,
        and torch aborts it where a thread still frees tensors then.
        """
        try:
            close(resident.loaded)
        finally:
            resident.let_go()
            with self.lock:
                resident.reservation.release()
                self.closing.remove(resident)
                self.changed.notify_all()

    def make_room(self, attempt: Callable[[], T], need: Callable[[], int], device: str, flight: Flight) -> T:
        """Evicts and waits until `attempt` finds room for a flight. Evicts nobody where that would not make enough.

        Waits, as long as the flight has patience, for what leaves already and for loads that will not stay: a
        thread that loads cannot be stopped. Without the lock. Raises NoRoom.
        """
        started = time.monotonic()
        while True:
            with self.lock:
                try:
                    return attempt()
                except NoRoom:
                    victims = [each for each in self.evictable() if each.reservation.device == device]
                    lacking = need() - self.budget.free(device)
                    going = _bytes(self.closing, device)
                    leaving = _bytes([each for each in self.residents.values() if each.leaving], device)
                    if lacking > going + leaving + _bytes(victims, device) + self._landing(device, flight):
                        raise
                    if not victims or lacking <= going:  # what is on its way out will do
                        left = started + flight.patience - time.monotonic()
                        if left <= 0:
                            raise
                        self.changed.wait(left)
                        continue
                    self.remove(victims[0])
            self.bury(victims[0])

    def _landing(self, device: str, but: Flight) -> int:
        """Bytes of other loads that will not stay."""
        flights = [*self.flights.values(), *self.given_up]
        rooms = [each.reservation for each in flights if each is not but and each.is_going]
        return sum(room.bytes for room in rooms if room is not None and room.device == device)


def canonical(version: str) -> str:
    """A version as it is filed. Raises InvalidRequest for `latest` and for what is none."""
    if version == LATEST:
        raise InvalidRequest("memory holds versions, not `latest`", "ask the registry which version that is")
    try:
        return canonical_version(version)
    except ValueError as error:
        raise InvalidRequest(f"{version!r} is no version", "write it like 1.2.0") from error


def shutting_down() -> Unavailable:
    """What is said to whoever comes too late."""
    return Unavailable("the service is shutting down")


def _bytes(residents: Iterable[Resident], device: str) -> int:
    return sum(each.reservation.bytes for each in residents if each.reservation.device == device)
