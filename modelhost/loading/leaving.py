"""How versions leave memory: idle, unwanted, or all of them at the end. What is leased or pinned stays."""

from __future__ import annotations

import time

from modelhost.errors import Conflict, Unknown
from modelhost.loading.books import Books, canonical
from modelhost.loading.lease import Key


class Leaving:
    """The part of a pool's interface that takes versions out."""

    def __init__(self, books: Books, idle_seconds: float | None) -> None:
        self._books = books
        self._idle_seconds = idle_seconds

    def sweep(self) -> list[Key]:
        """Evicts what nobody has used for `idle_seconds`; returns what left. To be called now and then."""
        if self._idle_seconds is None:
            return []
        with self._books.lock:
            latest = self._books.clock() - self._idle_seconds
            idle = [each for each in self._books.evictable() if each.used <= latest]
            for resident in idle:
                self._books.remove(resident)
        for resident in idle:
            self._books.bury(resident)
        return [resident.key for resident in idle]

    def unload(self, component: str, version: str) -> bool:
        """Takes a version out of memory: True when it has left, False when it leaves with its last lease.

        Raises Conflict for one that is pinned or held by a set, Unknown for one that is not in memory.
        """
        key = component, canonical(version)
        with self._books.lock:
            resident = self._books.residents.get(key)
            if resident is None:
                there = ", ".join(f"{c} {v}" for c, v in sorted(self._books.residents)) or "nothing"
                raise Unknown(f"{component} {version} is not in memory", f"in memory: {there}")
            if key in self._books.pinned:
                raise Conflict(f"{component} {version} is pinned", "unpin it first")
            if resident.holders:
                raise Conflict(
                    f"{component} {version} is held by {', '.join(resident.holders)}", "promote another version first"
                )
        return self.discard(component, version)

    def discard(self, component: str, version: str) -> bool:
        """Lets a version leave when nobody uses it; True when it is gone. Spares pinned ones and sets' members."""
        key = component, canonical(version)
        with self._books.lock:
            resident = self._books.residents.get(key)
            if resident is None:
                return True
            if key in self._books.pinned or resident.holders:
                return False
            if resident.leases:
                resident.leaving = True
                return False
            self._books.remove(resident)
        self._books.bury(resident)
        return True

    def pin(self, component: str, version: str) -> None:
        """Never evict it, from now on or from its next load on. Loads nothing."""
        with self._books.lock:
            self._books.pinned.add((component, canonical(version)))

    def unpin(self, component: str, version: str) -> None:
        """Takes a pin off; harmless where there is none."""
        with self._books.lock:
            self._books.pinned.discard((component, canonical(version)))
            self._books.changed.notify_all()

    def close(self, timeout: float = 30.0) -> list[Key]:
        """No lease from now on; frees what is in memory as leases come back. Returns what was still in use at the end.

        Waits for loads in progress, for leases and for closing, `timeout` seconds in all.
        """
        deadline = time.monotonic() + timeout
        with self._books.lock:
            self._books.closed = True
            self._books.pinned.clear()
            while (self._books.flights or self._books.given_up) and self._books.changed.wait(
                max(deadline - time.monotonic(), 0)
            ):
                pass
            for resident in self._books.residents.values():
                resident.leaving = True
            free = self._books.evictable()
            for resident in free:
                self._books.remove(resident)
        for resident in free:
            self._books.bury(resident)
        with self._books.lock:
            while self._books.residents or self._books.closing:
                if not self._books.changed.wait(max(deadline - time.monotonic(), 0)):
                    break
            leaving = {each.key for each in self._books.closing} | {each.key for each in self._books.given_up}
            return sorted({*self._books.residents, *leaving, *self._books.flights})
