"""Where a value came from. A manifest's value knows its file and line, its environment variable or its flag."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

KeyPath = tuple[str | int, ...]


class Source(StrEnum):
    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    FLAG = "flag"


@dataclass(frozen=True)
class Origin:
    """`place` is the file's name, the variable or the flag; `line` counts from 1 and is None outside a file."""

    kind: Source
    place: str = ""
    line: int | None = None

    def __str__(self) -> str:
        if self.kind is Source.DEFAULT:
            return "default"
        return f"{self.place}, line {self.line}" if self.line is not None else self.place


def dotted(path: KeyPath) -> str:
    """`("checks", "quality", 0)` → `checks.quality.0`."""
    return ".".join(str(part) for part in path)
