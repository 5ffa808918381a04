"""Who is under way: one swap, one rollback. A rollback calls the swap off, which can never flip from then on.

A member of a cluster has a course for each set that it loads, and calls off what is not desired any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from modelhost.errors import Conflict, Superseded
from modelhost.loading.lease import Lease
from modelhost.loading.pool import Pool


class Course:
    """A switch between its call and its end. What it loads is asked for here, so that it can be given up from
    outside."""

    def __init__(self, pool: Pool, what: str) -> None:
        self.what = what
        self.called_off = ""
        self._pool = pool
        self._lock = threading.Lock()
        self._asked: list[Future[Lease]] = []
        self._flipped = False
        self._ended = threading.Event()

    def ask(self, component: str, version: str, holder: str, patience: float | None = None) -> Future[Lease]:
        """`Pool.request`. Raises Superseded after `call_off`, which cancels what comes later than that."""
        with self._lock:
            self._demand()
            future = self._pool.request(component, version, holder, patience)
            self._asked.append(future)
        return future

    def flip(self, flip: Callable[[], float]) -> float:
        """Does it, unless this was called off: then Superseded. Whoever calls it off meanwhile waits, and is late."""
        with self._lock:
            self._demand()
            seconds = flip()
            self._flipped = True
        return seconds

    def call_off(self, words: str) -> bool:
        """It never flips from here on; what is loaded for it alone is given up. False where it has flipped."""
        with self._lock:
            if self._flipped:
                return False
            self.called_off = words
            asked = list(self._asked)
        for future in asked:
            self._pool.abandon(future)
        return True

    def let_go(self, timeout: float) -> None:
        """Waits until it holds nothing any more, after it was called off: the time that its thread needs to wake."""
        if self._asked:
            self._ended.wait(timeout)

    def end(self) -> None:
        """It holds nothing any more, or serves."""
        self._ended.set()

    def _demand(self) -> None:
        if self.called_off:
            raise Superseded(self.called_off, "look at what serves before asking again")


class Courses:
    """What is under way in one service."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._swap: Course | None = None
        self._rollback = ""

    @contextmanager
    def swap(self, what: str) -> Iterator[Course]:
        """One at a time. Raises Conflict where there is one, and during a rollback."""
        course = Course(self._pool, what)
        with self._lock:
            if self._rollback:
                raise Conflict(f"a rollback is under way: {self._rollback}", "look at what serves before asking again")
            if self._swap is not None:
                raise Conflict(f"another swap is under way: {self._swap.what}", "wait until it has ended")
            self._swap = course
        try:
            yield course
        finally:
            with self._lock:
                self._swap = None
            course.end()

    @contextmanager
    def rollback(self, who: str, why: str) -> Iterator[Course | None]:
        """One at a time; a second raises Conflict. Calls off the swap that is under way; yields what was called off."""
        with self._lock:
            if self._rollback:
                raise Conflict("another rollback is under way", "look at what serves before asking again")
            self._rollback = f"{who}: {why}"
            course = self._swap
        try:
            words = f"{course.what}: called off by a rollback ({who}: {why})" if course is not None else ""
            yield course if course is not None and course.call_off(words) else None
        finally:
            with self._lock:
                self._rollback = ""
