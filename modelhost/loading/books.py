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
    """Every field is guarded by `lock`; `changed` is notified when memory came back, or a load ended.

    Methods are called under the lock, where they do not say otherwise.
    """

    def __init__(self, budget: Budget, clock: Callable[[], float]) -> None:
        self.budget = budget
        self.clock = clock
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.residents: dict[Key, Resident] = {}
        self.flights: dict[Key, Flight] = {}
        self.closing: list[Resident] = []
        self.pinned: set[Key] = set()
        self.closed = False

    def evictable(self) -> list[Resident]:
        """Whose memory may be taken now, the longest unused first."""
        free = [each for key, each in self.residents.items() if not each.leases and key not in self.pinned]
        return sorted(free, key=lambda each: each.used)

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

    def make_room(self, attempt: Callable[[], T], need: Callable[[], int], device: str, patience: float) -> T:
        """Evicts and waits until `attempt` finds room. Evicts nobody where that would not make enough of it.

        `patience`: seconds to wait for what leaves already. Without the lock. Raises NoRoom.
        """
        deadline = time.monotonic() + patience
        while True:
            with self.lock:
                try:
                    return attempt()
                except NoRoom:
                    victims = [each for each in self.evictable() if each.reservation.device == device]
                    lacking = need() - self.budget.free(device)
                    going = _bytes(self.closing, device)
                    leaving = _bytes([each for each in self.residents.values() if each.leaving], device)
                    if lacking > going + leaving + _bytes(victims, device):
                        raise
                    if not victims or lacking <= going:  # what is on its way out will do
                        if time.monotonic() >= deadline:
                            raise
                        self.changed.wait(deadline - time.monotonic())
                        continue
                    self.remove(victims[0])
            self.bury(victims[0])


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
