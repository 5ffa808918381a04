"""The model card of a version, filled in from what was measured and recorded. The words are in `card.md`."""

from __future__ import annotations

import datetime
from pathlib import Path
from string import Template
from typing import Any

from translator.score import HEAD, Score, signatures

TEMPLATE = Path(__file__).with_name("card.md")


def card(version: str, facts: dict[str, Any], scores: list[Score], beams: int, day: datetime.date, where: str) -> str:
    """The card's Markdown. `facts` is the checkpoint's training.json; a placeholder without a value is an error."""
    settings = facts["settings"]
    values = {
        "version": version,
        "day": day.isoformat(),
        "where": where,
        "search": "greedy search" if beams == 1 else f"beam search with {beams} beams",
        "scores": "\n".join([HEAD, *(line.row() for line in scores)]),
        "signatures": "\n".join("    " + line for line in signatures().splitlines()),
        "parameters": f"{facts['parameters']:,}",
        "steps": f"{facts['step']:,}",
        "target_pieces": f"{facts['target_pieces']:,}",
        "passes": facts["passes"],
        "minutes": round(facts["seconds"] / 60),
        "schedule": settings["minutes"].removesuffix(".0"),
        "arithmetic": "bfloat16" if settings["bf16"] == "True" else "32-bit",
        "tokens": f"{int(settings['tokens']):,}",
        "pieces": f"{int(settings['pieces']):,}",
    }
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(settings | values)
