"""The network of a version, whichever engine computes it: ids of source pieces in, ids of target pieces out."""

from __future__ import annotations

from typing import Protocol

Rows = list[list[int]]


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


def room(row: list[int], longest: int) -> int:
    """Target pieces that a translation may have: twice the source and ten, as far as the positions reach."""
    return min(2 * len(row) + 10, longest - 2)
