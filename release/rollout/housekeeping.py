"""Housekeeping: removes what the retention plan lets go, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field

from release.errors import EngineError
from release.ledger.records import DeploymentState
from release.pipeline.events import Said
from release.rollout.hands import Hands


@dataclass
class Pruned:
    """What went (or would go), what stays and why, and the bytes that images give back."""

    removed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    bytes: int = 0
    failed: list[str] = field(default_factory=list)


def prune(hands: Hands, *, dry_run: bool) -> Pruned:
    raise EngineError("not wired yet")


__all__ = ["DeploymentState", "Pruned", "Said", "prune"]
