"""What is told of a version in memory: for status pages, metrics, and whoever asks why there is no room."""

from __future__ import annotations

from dataclasses import dataclass

from modelhost.loading.base import Placement
from modelhost.loading.lease import Resident, Timing


@dataclass(frozen=True, slots=True)
class Residency:
    """A version in memory as it was at one moment. `bytes` with mapped ones; `idle_seconds` since its last use."""

    component: str
    version: str
    bytes: int
    placement: Placement
    leases: int
    holders: tuple[str, ...]
    pinned: bool
    leaving: bool
    idle_seconds: float
    timing: Timing

    @classmethod
    def of(cls, resident: Resident, pinned: bool, now: float) -> Residency:
        """The state of one resident; to be called under its pool's lock."""
        loaded = resident.loaded
        return cls(
            component=loaded.component,
            version=loaded.version,
            bytes=resident.reservation.bytes,
            placement=loaded.placement,
            leases=resident.leases,
            holders=tuple(sorted(resident.holders)),
            pinned=pinned,
            leaving=resident.leaving,
            idle_seconds=0.0 if resident.leases else max(now - resident.used, 0.0),
            timing=resident.timing,
        )
