"""The network of a version, whichever engine computes it: ids of source pieces in, ids of target pieces out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

Rows = list[list[int]]


@dataclass(frozen=True, slots=True)
class Written:
    """Target ids, and how probable the network found them with their end: the natural logarithm, 0 or less.

    Among the pieces that may be written: those that never may have no part in it.
    """

    pieces: list[int]
    log_probability: float


def confidence(written: Iterable[tuple[int, float]]) -> float | None:
    """The geometric mean of the probabilities of all pieces, 0 to 1, from (pieces, log-probability) of each line.

    None where nothing was written. It says how sure the network was, which is not whether it was right.
    """
    counts, logs = zip(*written, strict=True) if (written := list(written)) else ((), ())
    return math.exp(min(0.0, sum(logs) / sum(counts))) if sum(counts) else None


class Network(Protocol):
    """One version's weights in memory. Not safe from two threads at once: `worker.py` sees to that."""

    longest: int
    """Source pieces that fit, the end piece included."""
    sha256: str
    """Of the weights as published (model.safetensors)."""
    engine: str
    """`torch` or `ctranslate2`."""

    def generate(self, rows: Rows) -> Rows:
        """Target ids, without start, end and padding, of source ids, each row with its end and at most `longest` long.

        A row's result does not depend on its neighbours; its room is `room(row, longest)` target pieces.
        """

    def write(self, rows: Rows) -> list[Written]:
        """`generate`, with how sure the network is of each row."""


def room(row: list[int], longest: int) -> int:
    """Target pieces that a translation may have: twice the source and ten, as far as the positions reach."""
    return min(2 * len(row) + 10, longest - 2)
