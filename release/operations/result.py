"""How an operation ended, and which release is live: what every operation tells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from release.engine.base import Instance
    from release.naming import Slot
    from release.rollout.hands import Hands


@dataclass(frozen=True)
class Result:
    """How an operation ended. `data` is JSON-serialisable."""

    exit_code: int
    outcome: str
    text: str
    deployment: str | None = None
    release: str | None = None
    data: dict[str, Any] = field(default_factory=dict)


def live_release(hands: Hands, live: Slot, mine: list[Instance] | None = None) -> str | None:
    """The release that runs in the live slot, by the engine's labels; else what the ledger last put there.

    `mine` is what the engine said a moment ago, where it was asked already. Raises EngineError.
    """
    mine = hands.engine.instances(hands.scope) if mine is None else mine
    running = [i for i in mine if i.slot is live and i.state == "running"]
    if running:
        return max(running, key=lambda instance: instance.deployment).release
    for switch in hands.ledger.switches(limit=1):
        return switch.release or None
    return None
