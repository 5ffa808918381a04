"""Pieces of Markdown: tables, folded parts, text that is no markup whoever wrote it, times and numbers for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

CELL = 400  # characters


def code(lines: Iterable[str]) -> list[str]:
    """Four spaces make a code block that no text can close."""
    return [f"    {printable(line)[:CELL]}" for line in lines]


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Columns and rows; short rows are filled up."""
    head = [inline(str(column)) for column in columns]
    lines = [_row(head), _row(["---"] * len(head))]
    for values in rows:
        cells = [cell(value) for value in values]
        lines.append(_row(cells + [""] * (len(head) - len(cells))))
    return lines


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def folded(title: str, body: Sequence[str]) -> list[str]:
    """A heading that opens what is below it."""
    return [f"<details><summary>{title}</summary>", *([] if body and not body[0] else [""]), *body, "", "</details>"]


def cell(value: Any) -> str:
    text = str(value)
    return inline(text if len(text) <= CELL else text[: CELL - 1] + "…")


def paragraph(text: str) -> str:
    """Lines of one paragraph, as they were broken."""
    lines = (inline(line) for line in text.splitlines())
    # What begins a heading, a list or a command of GitHub's is text here.
    return "<br>".join(f"\\{line}" if line[0] in "#:+-=" else line for line in lines if line)


def inline(text: str) -> str:
    """Text as it is: no markup, no table border, no link, no HTML."""
    shown = " ".join(printable(text).split())
    for character in "\\`*_[]|~":
        shown = shown.replace(character, f"\\{character}")
    shown = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return shown.replace("@", "&#64;") if "@sha256:" not in shown else shown


def printable(text: str) -> str:
    """Control characters become spaces."""
    return "".join(c if c.isprintable() else " " for c in text)


def when(at: str | None) -> str:
    """A time of the ledger for people, in UTC."""
    return (at or "")[:19].replace("T", " ")


def seconds(value: float | None) -> str:
    """`61.5 s`, `30 min 00 s`, `2 h 05 min`; nothing where it is not known."""
    if value is None:
        return ""
    if value >= 5_999.5:
        return f"{int(value) // 3600} h {int(value) % 3600 // 60:02d} min"
    return f"{value:.1f} s" if value < 99.95 else f"{int(value) // 60} min {int(value) % 60:02d} s"


def share(green: int | None) -> str:
    """A green share in per mille, as a percentage."""
    return "-" if green is None else f"{green / 10:g} %"


def scalar(value: Any) -> str | None:
    """A value of the evidence that fits into a cell; None for what does not."""
    if value is None or isinstance(value, dict | list | tuple):
        return None
    return f"{value:g}" if isinstance(value, float) else str(value)
