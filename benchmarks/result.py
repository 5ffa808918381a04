"""How a benchmark says what it found: a table for people, JSON for the README's figures."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def arguments(description: str, **defaults: int) -> argparse.Namespace:
    """Parses --json FILE and one integer option for each default."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=value, help=f"default: {value}")
    return parser.parse_args()


def publish(title: str, rows: Sequence[dict[str, Any]], notes: Sequence[str], to: Path | None) -> None:
    """Prints the rows, which share their keys, as a Markdown table, and writes all of it to `to`."""
    from rich.console import Console
    from rich.markup import escape

    cells = [[str(key) for key in rows[0]], *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    console = Console(soft_wrap=True, highlight=False)
    console.print(escape("\n".join([title, "", *lines, "", *notes, ""])))
    if to is not None:
        document = {"title": title, "rows": list(rows), "notes": list(notes), "machine": machine()}
        to.write_text(json.dumps(document | {"date": datetime.date.today().isoformat()}, indent=2) + "\n")


def machine() -> dict[str, Any]:
    nginx = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=False).stderr.strip()
    return {
        "cpus": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "nginx": nginx,
        "load": os.getloadavg()[0],
    }


def _cell(value: Any) -> str:
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
