"""A glance at what runs: a rollback gives the engine a moment to say so, and does not wait for one that hangs."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from release.operations.result import live_release

if TYPE_CHECKING:
    from release.engine.base import Instance
    from release.proxy.base import Traffic
    from release.rollout.hands import Hands

_PATIENCE = 0.5  # seconds; an engine that is well lists its containers in some milliseconds


class Glance:
    """Asks the engine once, in a thread of its own: whoever can do without the answer goes on without it."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._until = time.monotonic() + _PATIENCE
        self._found: list[Instance] | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._ask, name="glance", daemon=True)
        self._thread.start()

    def soon(self) -> list[Instance] | None:
        """What the engine said within its moment; None where it said nothing, or that it cannot."""
        self._thread.join(max(0.0, self._until - time.monotonic()))
        return self._found

    def whole(self) -> list[Instance]:
        """As the engine says in its own time. Raises EngineError."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._found is not None
        return self._found

    def live(self, traffic: Traffic) -> str | None:
        """The release that serves: by the engine where it answers soon, else by the ledger where that agrees with the
        flags. Where neither can tell, it waits for the engine, and raises EngineError."""
        if self.soon() is None and (recorded := recorded_live(self._hands, traffic)) is not None:
            return recorded
        return live_release(self._hands, traffic.live, self.whole())

    def _ask(self) -> None:
        try:
            self._found = self._hands.engine.instances(self._hands.scope)
        except Exception as error:
            self._error = error


def recorded_live(hands: Hands, traffic: Traffic) -> str | None:
    """The release that serves by the ledger, where its last switch is what the flags say; None where it is not."""
    for switch in hands.ledger.switches(limit=1):
        return switch.release if switch.after == traffic.green and switch.release else None
    return None
