"""The picture that `release status` shows: slots, the run under way, the last one, the way back, what differs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from release.cli.console import tables, wording

if TYPE_CHECKING:
    from release.ledger.records import DeploymentRow
    from release.operations.look import RunView, SlotView, Status

_ROLES = {"live": "green", "candidate": "cyan", "standby": "", "empty": "bright_black"}
_STATES = {
    "live": "green", "rolled back": "green", "tried": "green", "unobserved": "yellow", "running": "cyan",
    "refused": "red", "failed": "red", "undone": "yellow", "superseded": "yellow",
}  # fmt: skip


def lines(status: Status, now: float, width: int) -> list[str]:
    """`now` in seconds since the epoch. Styled with ANSI; `click.echo` takes that off where it does not belong."""
    head = f"{click.style(status.scope, bold=True)}  {status.url}"
    found = [head, "", *_slots(status, now, width), ""]
    if status.running is not None:
        found += _run(status.running, now)
    elif status.last is not None:
        found.append(_last(status.last, now, width))
    found += _way_back(status)
    if status.problems:
        found.append("")
    for problem in status.problems:
        first, *rest = problem.splitlines()
        found.append(f"{click.style('!', fg='yellow', bold=True)} {first}")
        found += [f"    {line.strip()}" for line in rest]
    return found


def _slots(status: Status, now: float, width: int) -> list[str]:
    """One row a slot, the live one first; container names last, and only where they fit: they are long."""
    columns = ["slot", "role", "traffic", "release", "state", "standing", "since", "port", "container"]
    ordered = sorted(status.slots, key=lambda view: -view.share)
    rows = [_slot(view, now) for view in ordered]
    drawn = tables.text(columns, rows, width)
    if len(drawn) > len(rows) + 2:
        drawn = tables.text(columns[:-1], [row[:-1] for row in rows], width)
    head, rule, *body = drawn
    styled = [click.style(head, dim=True), click.style(rule, dim=True)]
    for line in body:
        role = next((view.role for view in ordered if line.startswith(view.slot)), None)
        styled.append(click.style(line, fg=_ROLES.get(role or "", "") or None, bold=role == "live"))
    return styled


def _slot(view: SlotView, now: float) -> list[str]:
    state = view.state + (f" ({view.restarts} restarts)" if view.restarts else "")
    return [
        view.slot,
        view.role,
        share(view.share),
        view.release or "-",
        state or "-",
        view.standing or "-",
        age(view.since, now) or "-",
        str(view.port),
        view.container or "-",
    ]


def _run(run: RunView, now: float) -> list[str]:
    what = f"{run.kind} of {run.release}"
    text = f"now       {click.style(what, fg='cyan', bold=True)}: {run.step}, for {age(run.since, now) or 'a moment'}"
    if run.holder is None:
        owner = click.style(f"{run.actor}; its process is gone", fg="yellow")
    else:
        owner = f"{run.actor}, pid {run.holder.get('pid', '?')} on {run.holder.get('host', '?')}"
    return [text, f"          {run.deployment} by {owner}"]


def _last(row: DeploymentRow, now: float, width: int) -> str:
    state = click.style(str(row.state), fg=_STATES.get(str(row.state)))
    when = age(row.ended_at or row.started_at, now)
    text = f"last      {row.kind} of {row.release} by {row.actor}: {state}{f' {when} ago' if when else ''}"
    message = row.message.splitlines()[0] if row.message and row.exit_code else ""
    room = width - tables.columns_of(click.unstyle(text)) - 2
    return f"{text}: {tables.cut(message, room)}" if message and room > 20 else text


def _way_back(status: Status) -> list[str]:
    if status.target is not None:
        return [f"rollback  to {click.style(status.target, bold=True)}, {status.takes}"]
    return [f"rollback  none: {status.takes}"] if status.takes else []


def share(per_mille: int) -> str:
    """`100 %`, `2.5 %`, `0 %`."""
    return f"{per_mille / 10:g} %"


def age(at: str | None, now: float) -> str:
    """How long ago a time of the ledger or the engine was: `3 min 05 s`, `4 days`; empty where it is not known."""
    began = _moment(at)
    if began is None:
        return ""
    passed = max(0.0, now - began)
    if passed >= 172_800:
        return f"{passed / 86_400:.0f} days"
    return wording.seconds(passed) if passed >= 1 else "a moment"


def _moment(at: Any) -> float | None:
    try:
        return datetime.fromisoformat(str(at)[:23].rstrip("Z.") + "+00:00").timestamp() if at else None
    except ValueError:
        return None
