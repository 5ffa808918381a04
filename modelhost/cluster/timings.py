"""How long things may take in a cluster. Every span is measured by whoever waits, on its own clock."""

from __future__ import annotations

from dataclasses import dataclass

from modelhost.config.model import SIGNS_IN_A_TTL
from modelhost.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds. `ttl`: a member that shows no change for as long is taken for dead. `beat`: between its signs of life.
    `poll`: between two looks at the desired state. `patience`: how long all may take to load a set. `retry`: between
    two attempts at a committed set that could not be loaded."""

    ttl: float = 10.0
    beat: float = 2.0
    poll: float = 0.5
    patience: float = 300.0
    retry: float = 10.0

    def __post_init__(self) -> None:
        if min(self.ttl, self.beat, self.poll, self.patience, self.retry) <= 0:
            raise ConfigError("the spans of a cluster are seconds above 0")
        if self.ttl < SIGNS_IN_A_TTL * max(self.beat, self.poll):
            raise ConfigError(
                f"a ttl of {self.ttl:g} s takes the living for dead",
                f"at least {SIGNS_IN_A_TTL} times the beat ({self.beat:g} s) and the poll ({self.poll:g} s)",
            )
