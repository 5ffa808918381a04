"""Whether what is being loaded in this thread is still wanted. A loader that takes long asks between two steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from modelhost.errors import Unavailable


class GivenUp(Unavailable):
    """All for whom it was being loaded gave it up, and want its room back. No failure of the version."""


def _anybody() -> None:
    """Outside of a pool's load nobody gives up."""


_demand: ContextVar[Callable[[], None]] = ContextVar("modelhost_load_is_wanted", default=_anybody)


def demand_wanted() -> None:
    """Raises GivenUp where nobody wants any more what is being loaded in this thread."""
    _demand.get()()


@contextmanager
def asking(demand: Callable[[], None]) -> Iterator[None]:
    """Lets `demand_wanted` ask this within the block."""
    token = _demand.set(demand)
    try:
        yield
    finally:
        _demand.reset(token)
