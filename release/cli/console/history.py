"""The rows of `release history`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from release.cli.console import tables
from release.cli.console.status import _STATES as COLOURS
from release.ledger.records import DeploymentRow, ModelSwitchRow, NoteRow
from release.verdict import Verdict

Row = DeploymentRow | ModelSwitchRow


def newest(deployments: Sequence[DeploymentRow], models: Sequence[ModelSwitchRow], limit: int) -> list[Row]:
    """Both together, as they happened; each is given newest first."""
    rows: list[Row] = [*deployments, *models]
    return sorted(rows, key=lambda row: row.started_at, reverse=True)[:limit]


def lines(rows: Sequence[Row], width: int) -> list[str]:
    """One line a run or model switch where the width allows it; what went wrong stands below it."""
    if not rows:
        return ["nothing was deployed yet"]
    columns = ["started (UTC)", "what", "release", "outcome", "by", "deployment"]
    cells = [[started(r), *_what(r), str(r.state), r.actor, r.id] for r in rows]
    head, rule, *body = tables.text(columns, cells, max(width, 100))
    found = [click.style(head, dim=True), click.style(rule, dim=True)]
    position = -1
    for line in body:
        if position + 1 < len(rows) and line.startswith(started(rows[position + 1])):
            position += 1
            if position:
                found += _why(rows[position - 1], width)
        found.append(_coloured(line, rows[max(position, 0)]))
    return found + _why(rows[-1], width)


def as_json(row: DeploymentRow) -> dict[str, Any]:
    """The row without its facts, which are for recovery and no interface."""
    document = asdict(row)
    document.pop("facts")
    document["reason"] = row.facts.get("reason", "")
    return document


def model_as_json(row: ModelSwitchRow, verdicts: Sequence[Verdict], sets: Sequence[NoteRow] = ()) -> dict[str, Any]:
    """The row, and what the gate said, with its evidence; `set` where several components switched as one: `versions`
    and what was `before`."""
    told = [{**asdict(one), "outcome": str(one.outcome)} for one in verdicts]
    return {**asdict(row), "set": sets[0].data if sets else None, "verdicts": told}


def _what(row: Row) -> tuple[str, str]:
    if isinstance(row, DeploymentRow):
        return str(row.kind), row.release
    return f"model {row.action}", f"{row.component} {row.version or row.after or ''}".strip()


def started(row: Row) -> str:
    return row.started_at[:19].replace("T", " ")


def _why(row: Row, width: int) -> list[str]:
    """The reason of a run that did not end well, of a rollback or of a model switch, on at most two lines."""
    asked = row.reason if isinstance(row, ModelSwitchRow) else str(row.facts.get("reason", "") or "")
    reason = row.message if row.exit_code else asked
    return [
        click.style(f"    {tables.cut(line.strip(), max(width, 100) - 4)}", dim=True)
        for line in reason.splitlines()[:2]
    ]


def _coloured(line: str, row: Row) -> str:
    state = str(row.state)
    return line.replace(f" {state} ", f" {click.style(state, fg=COLOURS.get(state))} ", 1)
