"""Leases: counted handles on what is in memory. While one is out, nothing closes what it names."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Protocol

from modelhost.errors import ModelHostError
from modelhost.loading.base import Loaded
from modelhost.loading.memory import Reservation

Key = tuple[str, str]
"""Component and canonical version."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds that a load took, with its checks, and its warm-up."""

    load: float = 0.0
    warm_up: float = 0.0


class Resident:
    """A version in memory and the count of its users. Every field is guarded by the lock of its pool."""

    __slots__ = ("holders", "leases", "leaving", "loaded", "reservation", "timing", "used")

    def __init__(self, loaded: Loaded, reservation: Reservation, timing: Timing, now: float) -> None:
        self.loaded = loaded
        self.reservation = reservation
        self.timing = timing
        self.used = now  # on the pool's clock: the last time that a lease was given or came back
        self.leases = 0
        self.holders: Counter[str] = Counter()  # leases of sets, by name
        self.leaving = False  # goes when its last lease has

    @property
    def key(self) -> Key:
        """What it is filed under."""
        return self.loaded.component, self.loaded.version

    def let_go(self) -> None:
        """Keeps the name, and no reference to the model: what only this held is freed now, in this thread."""
        self.loaded = replace(self.loaded, model=None, close=lambda: None)


class Keeper(Protocol):
    """Takes leases back."""

    def _take_back(self, lease: Lease, leave: bool) -> None: ...


class Lease:
    """Permission to use one loaded version, until `release` or the end of a `with` block.

    May be released by another thread than the one that took it; a second release is harmless. Needs no event loop and
    blocks none. `fresh`: this caller waited for the load.
    """

    __slots__ = ("_keeper", "_resident", "fresh", "holder")

    def __init__(self, keeper: Keeper, resident: Resident, holder: str, fresh: bool) -> None:
        self._keeper = keeper
        self._resident: Resident | None = resident
        self.holder = holder
        self.fresh = fresh

    @property
    def loaded(self) -> Loaded:
        """What may be used. Raises ModelHostError after the release: it may be closed by then."""
        return self._here().loaded

    @property
    def model(self) -> Any:
        """The loaded model itself."""
        return self._here().loaded.model

    @property
    def timing(self) -> Timing:
        """How long its load took, whoever asked for it."""
        return self._here().timing

    def release(self, *, leave: bool = False) -> None:
        """Gives it back. `leave`: the version leaves memory when nobody else uses it, and no other set holds it."""
        self._keeper._take_back(self, leave)

    def _here(self) -> Resident:
        resident = self._resident
        if resident is None:
            raise ModelHostError("a lease was used after its release", "keep it until the answer is made")
        return resident

    def __enter__(self) -> Loaded:
        return self.loaded

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
