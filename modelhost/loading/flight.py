"""One load in progress and all who wait for it: each waiter has a future of its own, so that giving up is harmless."""

from __future__ import annotations

import copy
from concurrent.futures import Future
from dataclasses import dataclass, field

from modelhost.errors import LoadFailed, ModelHostError
from modelhost.loading.lease import Key, Lease
from modelhost.loading.memory import Reservation


class Waiter(Future[Lease]):
    """Someone who wants a lease as soon as the load has ended. Cancel it to give up.

    `holder`: a set for which it is wanted; `patience`: seconds that the load may wait for room. `leave`: who gave up
    does not want the version kept either.
    """

    def __init__(self, holder: str, patience: float) -> None:
        super().__init__()
        self.holder = holder
        self.patience = patience
        self.leave = False

    def grant(self, lease: Lease) -> None:
        """Hands the lease over, or back to where it came from when nobody wants it any more."""
        if self.set_running_or_notify_cancel():
            self.set_result(lease)
        else:
            lease.release(leave=self.leave)

    def fail(self, error: BaseException) -> None:
        """Tells of the failure; each waiter gets an error of its own, because raising one changes it."""
        if not self.set_running_or_notify_cancel():
            return
        own = copy.copy(error)
        own.__cause__, own.__traceback__ = error.__cause__, None
        self.set_exception(own)


@dataclass(slots=True, eq=False)
class Flight:
    """A load in progress, begun at `started` on the pool's clock, expected to take `expected` seconds.

    `reservation`: the room that it has, from the moment that it has any. Guarded by the lock of the books.
    """

    key: Key
    started: float
    expected: float
    waiters: list[Waiter] = field(default_factory=list)
    reservation: Reservation | None = None

    @property
    def is_unclaimed(self) -> bool:
        """Whether all who waited gave up."""
        return all(waiter.cancelled() for waiter in self.waiters)

    @property
    def is_unwanted(self) -> bool:
        """Whether nobody waits, and nobody wants it kept for whoever comes next: it need not land at all."""
        return self.is_unclaimed and self.is_left

    @property
    def is_left(self) -> bool:
        """Whether one for whom it was loaded wants it to leave."""
        return any(waiter.leave for waiter in self.waiters)

    @property
    def is_for_a_set(self) -> bool:
        """Whether somebody waits who is to hold it for long."""
        return any(waiter.holder and not waiter.cancelled() for waiter in self.waiters)

    @property
    def is_going(self) -> bool:
        """Whether its room is anybody's as soon as it has landed, and those who wait for it alone have used it."""
        return self.is_unclaimed or (self.is_left and not self.is_for_a_set)

    @property
    def patience(self) -> float:
        """Seconds that it may wait for room: the most that one of those who wait has."""
        return max(waiter.patience for waiter in self.waiters)

    def retry_after(self, now: float) -> float:
        """Seconds after which asking again may be worth it; never below one."""
        return max(1.0, round(self.started + self.expected - now, 1))


def as_load_failure(key: Key, error: BaseException) -> ModelHostError:
    """An error of modelhost stays what it is; anything else that a loader raises is LoadFailed."""
    if isinstance(error, ModelHostError):
        return error
    component, version = key
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    failed = LoadFailed(f"{component} {version} could not be loaded: {said}", "nothing was switched")
    failed.__cause__ = error
    return failed
