"""Memory as a budget: bytes are reserved before a load and settled to the real size after. Nothing is loaded here.

Mapped files count like any other byte: their pages are needed to answer quickly, and a budget that leaves them out
promises room that page faults take back.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from modelhost.errors import NoRoom, Refused

CPU = "cpu"
SHARE = 0.8  # of what is free: a service needs memory for its requests too
_LEAST_MB = 50_000  # bytes
_UNLIMITED = 1 << 60  # cgroup v1 says "no limit" with a number near 2**63


class Budget:
    """Limits in bytes per device (`cpu`, `cuda:0`); a number alone is the limit of `cpu`. Safe between threads.

    The sum of the reservations of a device never exceeds its limit.
    """

    def __init__(self, limits: int | Mapping[str, int]) -> None:
        self._limits = {CPU: limits} if isinstance(limits, int) else dict(limits)
        self._held: dict[Reservation, int] = {}
        self._lock = threading.Lock()

    def reserve(self, size: int, holder: str, device: str = CPU) -> Reservation:
        """Takes `size` bytes for `holder`. Raises NoRoom, which lists who holds what; Refused for an unknown device."""
        reservation = Reservation(self, holder, device)
        with self._lock:
            self._demand(size, holder, device)
            self._held[reservation] = size
        return reservation

    def limit(self, device: str = CPU) -> int:
        """The limit in bytes. Raises Refused for a device that has none."""
        if device not in self._limits:
            known = ", ".join(sorted(self._limits))
            raise Refused(f"no memory is set aside on device {device!r}", f"there is a budget for: {known}")
        return self._limits[device]

    def used(self, device: str = CPU) -> int:
        """Bytes that are reserved at this moment."""
        with self._lock:
            return self._used(device)

    def free(self, device: str = CPU) -> int:
        """Bytes that may still be reserved."""
        return self.limit(device) - self.used(device)

    def _used(self, device: str) -> int:
        return sum(size for reservation, size in self._held.items() if reservation.device == device)

    def _demand(self, size: int, holder: str, device: str) -> None:
        limit, used = self.limit(device), self._used(device)
        if used + size <= limit:
            return
        held = sorted(((n, r.holder) for r, n in self._held.items() if r.device == device), reverse=True)
        who = ", ".join(f"{name} {_spoken(n)}" for n, name in held) or "nobody"
        wanted = f"{holder} needs {_spoken(size)} on {device}"
        if size > limit:
            raise NoRoom(f"{wanted}, the whole budget is {_spoken(limit)}", "raise the memory budget")
        raise NoRoom(
            f"{wanted}, {_spoken(limit - used)} of {_spoken(limit)} are free; held by: {who}",
            "unload or unpin one of these, or raise the memory budget",
        )

    def _settle(self, reservation: Reservation, size: int) -> None:
        with self._lock:
            held = self._held[reservation]
            if size > held:
                self._demand(size - held, f"{reservation.holder} (estimated at {_spoken(held)})", reservation.device)
            self._held[reservation] = size

    def _release(self, reservation: Reservation) -> None:
        with self._lock:
            self._held.pop(reservation, None)

    def _bytes(self, reservation: Reservation) -> int:
        with self._lock:
            return self._held.get(reservation, 0)


class Reservation:
    """Bytes that one holder may use until `release`."""

    __slots__ = ("_budget", "device", "holder")

    def __init__(self, budget: Budget, holder: str, device: str) -> None:
        self._budget = budget
        self.holder = holder
        self.device = device

    @property
    def bytes(self) -> int:
        """What is reserved; 0 after the release."""
        return self._budget._bytes(self)

    def settle(self, size: int) -> None:
        """Corrects an estimate to the real size. Raises NoRoom and changes nothing where the difference has no room."""
        self._budget._settle(self, size)

    def release(self) -> None:
        """Gives the bytes back; harmless when repeated."""
        self._budget._release(self)


def default_limit(workers: int = 1, root: Path = Path("/")) -> int:
    """Bytes for the models of one of `workers` processes: a share of what the machine and the control groups leave.

    `root` is where `proc` and `sys` lie. What the page cache could give back counts as free.
    """
    meminfo = (root / "proc/meminfo").read_text()
    rooms = [int(line.split()[1]) * 1024 for line in meminfo.splitlines() if line.startswith("MemAvailable:")]
    rooms += [room for group in _groups(root) if (room := _headroom(group)) is not None]
    return int(min(rooms) * SHARE) // max(workers, 1)


def _groups(root: Path) -> list[Path]:
    """Directories of this process's control groups, with all above them: each may have a limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        group = top / path.strip("/")
        found += [group, *(above for above in group.parents if above.is_relative_to(top))]
        found.append(top)  # inside a container the path may name a directory of the host
    return list(dict.fromkeys(found))


def _headroom(group: Path) -> int | None:
    """Bytes that a control group leaves, or None where it sets no limit."""
    for limit_file, usage_file in (
        ("memory.max", "memory.current"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        try:
            limit = (group / limit_file).read_text().strip()
            usage = int((group / usage_file).read_text())
            stat = (group / "memory.stat").read_text()
        except OSError:
            continue
        if limit == "max" or int(limit) >= _UNLIMITED:
            return None
        cache = dict(line.split() for line in stat.splitlines())
        reclaimable = int(cache.get("total_inactive_file", cache.get("inactive_file", "0")))
        return max(int(limit) - usage + reclaimable, 0)
    return None


def _spoken(size: int) -> str:
    """In MB; what these would call nothing in bytes."""
    return f"{size / 1e6:,.1f} MB" if size >= _LEAST_MB or not size else f"{size:,} bytes"
