"""What operations say while they work, and a ledger that cannot be written told instead of raised."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Protocol

from release.errors import LedgerError
from release.ledger.records import StepState
from release.pipeline.events import Report, Said, StepBegan, StepEnded
from release.rollout.hands import Hands


class Telling(Protocol):
    """Whoever has somebody to tell."""

    @property
    def report(self) -> Report: ...


@contextlib.contextmanager
def quietly(hands: Telling, what: str) -> Iterator[None]:
    """For what must not stop a way back: the effect matters more than its record."""
    try:
        yield
    except LedgerError as error:
        hands.report(
            Said(f"the ledger could not record {what} ({error.message}); `release doctor --mend` does", "warning")
        )


def announce(hands: Hands, step: str) -> None:
    hands.report(StepBegan(step))


def told(hands: Hands, step: str, text: str, since: float) -> None:
    """`since` is monotonic."""
    hands.report(StepEnded(step, StepState.DONE, text, time.monotonic() - since))
