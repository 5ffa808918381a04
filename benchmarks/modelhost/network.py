"""The networks that are measured: one that tells which weights answered, one with the shapes of a large transformer.

Imports torch: for the processes that serve or load, and nobody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from benchmarks.modelhost.published import WIDTH


class Telling(torch.nn.Module):
    """Layers that each hold one value throughout; a forward pass reads every weight and tells which values it met."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.Linear(width, width, bias=False) for _ in range(depth))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Least and greatest sum of a row of each layer, for an `x` of ones: all the same in weights of one version."""
        answers = [layer(x) for layer in self.layers]
        return torch.stack([torch.stack([answer.min(), answer.max()]) for answer in answers])


class Stack(torch.nn.Module):
    """Matrices of a transformer's blocks, one after the other; `most` asks the first few of them only."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        shapes = [(WIDTH, WIDTH)] * 4 + [(WIDTH, 4 * WIDTH), (4 * WIDTH, WIDTH)]
        self.layers = torch.nn.ModuleList(torch.nn.Linear(*shape) for _ in range(blocks) for shape in shapes)

    def forward(self, x: torch.Tensor, most: int | None = None) -> torch.Tensor:
        for layer in self.layers[:most]:
            x = layer(x)
        return x


def build(settings: Mapping[str, Any]) -> torch.nn.Module:
    """The module that the settings of a version describe."""
    if "blocks" in settings:
        return Stack(settings["blocks"])
    return Telling(settings["depth"], settings["width"])


def use(model: Any, settings: Mapping[str, Any]) -> torch.Tensor:
    """One forward pass of one row through all of it."""
    width = WIDTH if "blocks" in settings else settings["width"]
    answer: torch.Tensor = model(torch.ones(width))
    return answer


def values(model: Any, width: int) -> set[float]:
    """The values that a telling network holds, one where all of it is of one version."""
    return {round(value, 3) for value in model(torch.ones(width)).flatten().tolist()}
