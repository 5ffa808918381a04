"""Bounded concurrency that an interruption ends at once: threads that send, while the caller's thread looks out.

The caller's thread never waits for a service: it asks `alive` every tenth of a second, and what that raises leaves
here immediately. The threads are daemons and end with the request they are in.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Sequence
from functools import partial
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar, cast

_LOOK_EVERY = 0.1


class Closable(Protocol):
    def close(self) -> None: ...


T = TypeVar("T")
R = TypeVar("R")
C = TypeVar("C", bound=Closable)


class _Batch(Generic[C, T, R]):
    def __init__(self, work: Callable[[C, T], R], items: Sequence[T]) -> None:
        self.work, self.items = work, items
        self.results: queue.SimpleQueue[tuple[int, R | None, BaseException | None]] = queue.SimpleQueue()
        self.cancelled = False

    def do(self, index: int, client: C) -> None:
        if self.cancelled:
            return
        try:
            self.results.put((index, self.work(client, self.items[index]), None))
        except BaseException as error:  # carried to the caller's thread, and raised there
            self.results.put((index, None, error))


class Lanes(Generic[C]):
    """`count` threads, each with its own client from `open_client`, closed when the lanes are left."""

    def __init__(self, count: int, open_client: Callable[[], C], alive: Callable[[], None]) -> None:
        self._alive = alive
        self._open = open_client
        self._tasks: queue.SimpleQueue[Callable[[C], None] | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._lane, daemon=True, name="check") for _ in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for _ in self._threads:
            self._tasks.put(None)

    def _lane(self) -> None:
        client = self._open()
        try:
            while (task := self._tasks.get()) is not None:
                task(client)
        finally:
            client.close()

    def map(self, work: Callable[[C, T], R], items: Sequence[T]) -> Generator[tuple[int, R], None, None]:
        """Yields (index, result) as results arrive. Leaving the iterator early drops what has not begun."""
        batch: _Batch[C, T, R] = _Batch(work, items)
        self._alive()
        looked = time.monotonic()
        try:
            for index in range(len(items)):
                self._tasks.put(partial(batch.do, index))
            for _ in items:
                while True:
                    if time.monotonic() - looked >= _LOOK_EVERY:
                        self._alive()
                        looked = time.monotonic()
                    try:
                        number, result, error = batch.results.get(timeout=_LOOK_EVERY)
                        break
                    except queue.Empty:
                        continue
                if error is not None:
                    raise error
                yield number, cast(R, result)
        finally:
            batch.cancelled = True

    def one(self, work: Callable[[C, T], R], item: T) -> R:
        """The result of one piece of work."""
        return next(result for _, result in self.map(work, [item]))
