"""A verdict's table as the live view draws it: side by side, or a record under another where the terminal is narrow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from release.cli.console import tables

_PROSE_WIDTH = 100  # columns below which long texts stand under each other instead of side by side


def drawn(table: Mapping[str, Any], width: int) -> RenderableType:
    """`width` is the terminal's, in columns."""
    return _stacked(table) if _too_narrow(table, width) else _side_by_side(table)


def _too_narrow(table: Mapping[str, Any], width: int) -> bool:
    prose = any(tables.columns_of(str(cell)) > 24 for row in table["rows"] for cell in row)
    return prose and len(table["columns"]) > 2 and width < _PROSE_WIDTH


def _side_by_side(table: Mapping[str, Any]) -> RenderableType:
    columns, rows = table["columns"], [[str(cell) for cell in row] for row in table["rows"]]
    tall = any(tables.columns_of(cell) > 40 for row in rows for cell in row)
    picture = Table(box=box.SIMPLE_HEAD, show_lines=False, pad_edge=False, padding=(0, 1, 0, 0))
    for index, column in enumerate(columns):
        figures = tables.numeric(row[index] for row in rows if index < len(row))
        word = max(tables.columns_of(part) for part in [*str(column).split(), ""])
        side: Literal["right", "left"] = "right" if figures else "left"
        picture.add_column(str(column), header_style="dim", justify=side, overflow="fold", min_width=word)
    for number, row in enumerate(rows):
        if tall and number:
            picture.add_row()
        picture.add_row(*(_cell(cell) for cell in row))
    return picture


def _stacked(table: Mapping[str, Any]) -> RenderableType:
    """A record a row, its columns under each other: for narrow terminals."""
    widest = max(tables.columns_of(str(column)) for column in table["columns"])
    records: list[RenderableType] = []
    for row in table["rows"]:
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(width=widest, style="dim")
        grid.add_column(ratio=1, overflow="fold")
        for column, cell in zip(table["columns"], row, strict=False):
            grid.add_row(str(column), _cell(str(cell)))
        records += [grid, Text("")]
    return Group(*records)


def _cell(text: str) -> Text:
    style = {"pass": "green", "fail": "red", "no data": "yellow"}.get(text, "")
    return Text(text, style=style)
