"""What a member keeps in memory because the cluster holds it. Whatever becomes of that, it serves and follows on.

A hold stays where idle versions leave, and gives way to a switch: while one is under way, the room may be taken.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass

from modelhost.cluster.desired import Desired
from modelhost.cluster.held import Drop, Hold
from modelhost.errors import Loading, ModelHostError, RegistryUnavailable
from modelhost.loading.lease import Key, Lease
from modelhost.loading.pool import Pool
from modelhost.serving.leases import give_back

_log = logging.getLogger(__name__)
_HOLDER = "a hold of the cluster"


@dataclass(slots=True)
class _Kept:
    """A hold here. `here`: in memory, and requests find it; `fresh`: it was loaded for this; `again`: when to try;
    `asked`: what brings it, while it loads."""

    hold: Hold
    lease: Lease | None = None
    fresh: bool = False
    here: bool = False
    loading: bool = False
    asked: Future[Lease] | None = None
    failure: str = ""
    again: float = float("-inf")

    @property
    def key(self) -> Key:
        return self.hold.component, self.hold.version

    @property
    def settled(self) -> bool:
        return self.here or bool(self.failure)


class Keeping:
    """Follows what is held. Safe between threads; loads run in threads of their own.

    `found` is called when a version is in memory, before it counts as loaded, and `ended` when a load has ended, both
    in its thread. `clock` and `retry` in seconds.
    """

    def __init__(
        self,
        pool: Pool,
        retry: float,
        clock: Callable[[], float],
        found: Callable[[], None],
        ended: Callable[[], None],
    ) -> None:
        self._pool = pool
        self._retry = retry
        self._clock = clock
        self._found = found
        self._ended = ended
        self._lock = threading.Lock()
        self._kept: dict[int, _Kept] = {}
        self._obeyed = 0

    def follow(self, desired: Desired, calm: bool) -> None:
        """Does what is to be done now; `calm`: nothing is being switched here. Waits for no load, and never raises."""
        try:
            goals = [goal for goal in (desired.committed, desired.proposal) if goal is not None]
            serving = {each for goal in goals for each in goal.versions.items()}
            self._let_go(lambda kept: not desired.held.has(kept.hold.number), serving)
            self._obey(desired.held.drops)
            for hold in desired.held.holds:
                with self._lock:
                    kept = self._kept.setdefault(hold.number, _Kept(hold))
                if calm:
                    self._bring(kept)
                elif kept.key not in serving:
                    self._give_way(kept)
        except Exception:
            _log.exception("what is held is looked at again at the next turn")

    def said(self) -> dict[int, str]:
        """For the sign of life: number of a hold → why it cannot be loaded, nothing where it is in memory."""
        with self._lock:
            return {number: "" if one.here else one.failure for number, one in self._kept.items() if one.settled}

    def close(self) -> None:
        """Keeps nothing any more; what is in memory stays, as long as nobody needs its room."""
        self._let_go(lambda kept: True, None)

    # -- in the follower's thread ----------------------------------------------------------------------------------

    def _let_go(self, is_over: Callable[[_Kept], bool], serving: Collection[Key] | None) -> None:
        """What was loaded for a hold alone leaves; without `serving`, nothing does."""
        with self._lock:
            gone = [self._kept.pop(number) for number, kept in list(self._kept.items()) if is_over(kept)]
            asked = [kept.asked for kept in gone if kept.asked is not None]
        for future in asked:
            self._pool.abandon(future)
        for kept in gone:
            if kept.lease is not None:
                kept.lease.release(leave=serving is not None and kept.fresh and kept.key not in serving)

    def _obey(self, drops: Collection[Drop]) -> None:
        """Lets go of what was asked for since the last time. What serves, is pinned or in use stays until it is not."""
        for drop in drops:
            if drop.number <= self._obeyed:
                continue
            for each in self._pool.residents():
                if each.component == drop.component and drop.version in (None, each.version):
                    self._pool.discard(each.component, each.version)
            self._obeyed = drop.number

    def _give_way(self, kept: _Kept) -> None:
        with self._lock:
            lease, kept.lease, kept.here = kept.lease, None, False
            asked = kept.asked
        if asked is not None:
            self._pool.abandon(asked)
        if lease is not None:
            lease.release()

    def _bring(self, kept: _Kept) -> None:
        with self._lock:
            if kept.lease is not None or kept.loading or self._clock() < kept.again:
                return
            kept.loading = True
        name = f"modelhost-hold-{kept.hold.number}"
        try:
            threading.Thread(target=self._load, args=(kept,), name=name, daemon=True).start()
        except RuntimeError as error:  # no thread can be had
            self._landed(kept, None, str(error))

    # -- in a thread of its own ------------------------------------------------------------------------------------

    def _load(self, kept: _Kept) -> None:
        lease: Lease | None = None
        failure = ""
        try:
            lease = self._ask(kept).result()
            self._found()
        except CancelledError:  # it was let go of, or gives way; a second attempt says more
            _log.info("%s %s is not loaded for a hold any more", *kept.key)
        except (RegistryUnavailable, Loading) as error:  # that says nothing about the version
            _log.warning("%s %s is held, and tried again: %s", *kept.key, error)
        except ModelHostError as error:
            failure = str(error)
        except BaseException as error:
            failure = f"{type(error).__name__}: {error}"
        if failure and failure != kept.failure:
            _log.error("%s %s is held, and cannot be loaded: %s", *kept.key, failure)
        if not self._landed(kept, None if failure else lease, failure) and lease is not None:
            give_back([lease])
        self._ended()

    def _ask(self, kept: _Kept) -> Future[Lease]:
        """What brings it; whoever lets go of the hold gives that up. Raises CancelledError where somebody has."""
        future = self._pool.request(*kept.key, holder=_HOLDER)
        with self._lock:
            if self._kept.get(kept.hold.number) is kept:
                kept.asked = future
                return future
        if not self._pool.abandon(future):
            give_back([future.result()])
        raise CancelledError

    def _landed(self, kept: _Kept, lease: Lease | None, failure: str) -> bool:
        """Whether the lease is kept: not where it is held no longer."""
        with self._lock:
            kept.loading, kept.asked, kept.failure = False, None, failure
            if lease is None:
                kept.again = self._clock() + self._retry
            elif self._kept.get(kept.hold.number) is kept:
                kept.lease, kept.fresh, kept.here = lease, kept.fresh or lease.fresh, True
                return True
            return False
