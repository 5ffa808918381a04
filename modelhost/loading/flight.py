"""One load in progress and all who wait for it: each waiter has a future of its own, so that giving up is harmless."""

from __future__ import annotations

import copy
from concurrent.futures import Future
from dataclasses import dataclass, field

from modelhost.errors import LoadFailed, ModelHostError
from modelhost.loading.lease import Key, Lease


@dataclass(slots=True)
class Waiter:
    """Someone who wants a lease as soon as the load has ended. Cancel the future to give up."""

    holder: str
    future: Future[Lease] = field(default_factory=Future)

    def grant(self, lease: Lease) -> None:
        """Hands the lease over, or back to where it came from when nobody wants it any more."""
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(lease)
        else:
            lease.release()

    def fail(self, error: BaseException) -> None:
        """Tells of the failure; each waiter gets an error of its own, because raising one changes it."""
        if not self.future.set_running_or_notify_cancel():
            return
        own = copy.copy(error)
        own.__cause__, own.__traceback__ = error.__cause__, None
        self.future.set_exception(own)


@dataclass(slots=True)
class Flight:
    """A load in progress, begun at `started` on the pool's clock, expected to take `expected` seconds."""

    key: Key
    started: float
    expected: float
    waiters: list[Waiter] = field(default_factory=list)

    def retry_after(self, now: float) -> float:
        """Seconds after which asking again may be worth it; never below one."""
        return max(1.0, round(self.started + self.expected - now, 1))


def as_load_failure(key: Key, error: BaseException) -> ModelHostError:
    """An error of modelhost stays what it is; anything else that a loader raises is LoadFailed."""
    if isinstance(error, ModelHostError):
        return error
    component, version = key
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    failed = LoadFailed(f"{component} {version} could not be loaded: {said}", "what was loaded before still serves")
    failed.__cause__ = error
    return failed
