"""What a model's card (its README.md) says of it: the first heading, and the tables of scores and of training data."""

from __future__ import annotations

import re
from pathlib import Path


def note(folder: Path) -> str:
    """The card's heading; the folder's name where it has none."""
    first = _text(folder).splitlines()[:1]
    return first[0].lstrip("# ") if first and first[0].strip("# ") else f"the directory {folder.name}"


def metrics(folder: Path) -> dict[str, float]:
    """`manythings-test.bleu` → points, as the table of scores has them."""
    found: dict[str, float] = {}
    for row in _rows(folder):
        if len(row) == 5 and re.fullmatch(r"\d+", row[1]):
            scores = zip(("bleu", "chrf", "ter"), row[2:], strict=True)
            found |= {f"{row[0].replace(', ', '.')}.{name}": float(score) for name, score in scores}
    return found


def training_data(folder: Path) -> list[str]:
    """`Tatoeba, by way of ManyThings.org: 26,816 pairs`, one for each source."""
    return [f"{row[0]}: {row[1]}" for row in _rows(folder) if len(row) == 3 and row[1].endswith("pairs")]


def _rows(folder: Path) -> list[list[str]]:
    lines = _text(folder).splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


def _text(folder: Path) -> str:
    file = folder / "README.md"
    return file.read_text(encoding="utf-8") if file.is_file() else ""
