"""A verdict's tables as plain text: aligned columns, wide characters counted as two, long cells on several lines."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from release.verdict import Outcome, Verdict

_GAP = "  "
_NARROWEST = 12


def of(verdict: Verdict, everything: bool = False) -> Sequence[Mapping[str, Any]]:
    """The tables worth showing: all of a red verdict; of a green one those that are short figures."""
    found = verdict.evidence.get("tables", [])
    tables = [t for t in found if isinstance(t, dict) and t.get("rows") and t.get("columns")]
    if everything or verdict.outcome in (Outcome.FAIL, Outcome.NO_DATA):
        return tables
    return [t for t in tables if len(t["rows"]) <= 12 and not _is_prose(t)]


def _is_prose(table: Mapping[str, Any]) -> bool:
    """Long sentences side by side are for a refusal, not for a line among green ones."""
    return any(len(str(cell)) > 60 for row in table["rows"] for cell in row) or "source" in table["columns"]


def text(columns: Sequence[str], rows: Iterable[Sequence[Any]], width: int = 120) -> list[str]:
    """Lines of a table that fits `width` columns where that is possible; cells are wrapped, never cut."""
    cells = [[str(c) for c in columns], *([str(c) for c in row] for row in rows)]
    count = max(len(row) for row in cells)
    cells = [row + [""] * (count - len(row)) for row in cells]
    widths = _fit([max(columns_of(row[i]) for row in cells) for i in range(count)], width)
    figures = [numeric(row[i] for row in cells[1:]) for i in range(count)]
    wrapped = [[_wrap(cell, widths[i]) for i, cell in enumerate(row)] for row in cells]
    tall = any(len(cell) > 1 for row in wrapped for cell in row)
    lines: list[str] = []
    for index, row in enumerate(wrapped):
        if tall and index > 1:
            lines.append("")
        for part in range(max(len(cell) for cell in row)):
            pieces = [cell[part] if part < len(cell) else "" for cell in row]
            padded = [_pad(piece, widths[i], figures[i]) for i, piece in enumerate(pieces)]
            lines.append(_GAP.join(padded).rstrip())
        if index == 0:
            lines.append(_GAP.join("─" * w for w in widths))
    return lines


def columns_of(value: str) -> int:
    """How many columns of a terminal a text takes; Chinese characters take two, combining ones none."""
    if value.isascii():
        return len(value)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in ("W", "F") else 1 for c in value
    )


def cut(value: str, width: int) -> str:
    """The text in at most `width` columns, with an ellipsis where something is left out."""
    if columns_of(value) <= width:
        return value
    kept = ""
    for character in value:
        if columns_of(kept + character) > width - 1:
            break
        kept += character
    return f"{kept}…"


def numeric(cells: Iterable[str]) -> bool:
    """True where every cell is a figure or empty, so that the column reads better aligned to the right."""
    found = list(cells)
    return any(c.isdigit() for cell in found for c in cell) and all(_number(cell) for cell in found)


def _fit(wanted: list[int], width: int) -> list[int]:
    """Shrinks the widest columns until the row fits; none below a width at which text is still readable."""
    widths = [max(1, w) for w in wanted]
    room = width - len(_GAP) * (len(widths) - 1)
    while sum(widths) > room and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    return widths


def _wrap(value: str, width: int) -> list[str]:
    if columns_of(value) <= width:
        return [value]
    lines: list[str] = []
    for part in textwrap.wrap(value, width, break_long_words=False) or [""]:
        line = ""
        for character in part:
            if columns_of(line + character) > width:
                lines.append(line)
                line = ""
            line += character
        lines.append(line)
    return lines


def _pad(value: str, width: int, right: bool) -> str:
    space = " " * max(0, width - columns_of(value))
    return space + value if right else value + space


def _number(value: str) -> bool:
    stripped = value.strip().lstrip("+-−±<>≤≥").replace(",", "")
    return not stripped or (stripped[:1].isdigit() and len(stripped.split()) <= 2 and ":" not in stripped)
