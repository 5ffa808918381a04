"""The record as Markdown that GitHub renders: an overview, the stages, the evidence, the timeline, the log's end.

What comes from outside (a log, a translation, a reason) is escaped, and the whole stays within a job summary's limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from release.ledger.records import DeploymentState, Kind, StepState
from release.report.record import Record, Stage, stages
from release.verdict import Outcome, Verdict

LIMIT = 1_000_000  # bytes; GitHub refuses a job summary above 1 MiB whole
_LOG_LINES = 60
_CELL = 400
_SCALARS = 40

_SIGNS = {
    StepState.DONE: "✅",
    StepState.SKIPPED: "➖",
    StepState.FAILED: "❌",
    StepState.STARTED: "⏳",
    StepState.UNDONE: "↩️",
    StepState.UNDO_FAILED: "❌",
}
_OUTCOMES = {Outcome.PASS: "✅", Outcome.FAIL: "❌", Outcome.NO_DATA: "❔", Outcome.SKIPPED: "➖"}
_ENDS = {
    DeploymentState.LIVE: "✅",
    DeploymentState.UNOBSERVED: "⚠️",
    DeploymentState.RUNNING: "⏳",
    DeploymentState.SUPERSEDED: "↩️",
    DeploymentState.UNDONE: "↩️",
}


def markdown(record: Record, limit: int = LIMIT) -> str:
    """At most `limit` bytes of UTF-8; what does not fit is left out from the end, and that is said."""
    parts: list[Callable[[Record], list[str]]] = [
        _head,
        _overview,
        _stages,
        _verdicts,
        _switches,
        _notes,
        _log,
        _timeline,
    ]
    text, left = "", limit - 200
    for part in parts:
        block = "\n".join(part(record))
        size = len(block.encode()) + 2
        if size > left:
            return text + "\n_More than fits here: `release report --format json` has all of it._\n"
        if block:
            text, left = text + block + "\n\n", left - size
    return text.rstrip() + "\n"


def _head(record: Record) -> list[str]:
    row = record.deployment
    sign = _ENDS.get(row.state, "❌")
    verb = {Kind.DEPLOY: "Deployment", Kind.ROLLBACK: "Rollback to"}.get(row.kind, str(row.kind).capitalize())
    between = " " if verb.endswith("to") else " of "
    lines = [f"## {sign} {verb}{between}{_inline(row.release)}: {row.state}"]
    if row.message:
        lines += ["", _paragraph(row.message)]
    return lines


def _overview(record: Record) -> list[str]:
    row, release = record.deployment, record.release
    pairs: list[tuple[str, str | None]] = [
        ("deployment", row.id),
        ("asked for by", row.actor),
        ("host", row.host),
        ("started", _when(row.started_at)),
        ("ended", _when(row.ended_at) if row.ended_at else "not yet"),
        ("slot", row.slot),
        ("live before", row.previous_release or "nothing"),
        ("reason", str(row.facts.get("reason") or "") or None),
        ("exit code", None if row.exit_code is None else str(row.exit_code)),
    ]
    if release is not None:
        pairs += [
            ("commit", release.commit),
            ("image", release.reference),
            ("digest", release.digest),
            ("image id", release.image_id),
            ("stands as", f"{release.standing}{f' ({release.reason})' if release.reason else ''}"),
        ]
    return _table(["", ""], [[name, value] for name, value in pairs if value])


def _stages(record: Record) -> list[str]:
    found = stages(record.steps)
    if not found:
        return []
    return ["### Stages", "", *_table(["", "stage", "time", "what"], [_stage(stage) for stage in found])]


def _stage(stage: Stage) -> list[str]:
    told = stage.detail or ("" if stage.state is StepState.DONE else str(stage.state))
    if stage.state is StepState.STARTED:
        told = "has no end on record: it runs, or its process was killed here"
    if stage.undone is not None:
        told = f"{told}; ↩️ {stage.undone}" if told else f"↩️ {stage.undone}"
    return [_SIGNS.get(stage.state, ""), stage.name, _seconds(stage.seconds), told]


def _verdicts(record: Record) -> list[str]:
    lines: list[str] = []
    for verdict in record.verdicts:
        lines += ["", *_verdict(verdict)] if lines else _verdict(verdict)
    return ["### Verdicts", "", *lines] if lines else []


def _verdict(verdict: Verdict) -> list[str]:
    """Open where it is red; a green one is folded, its sentence visible."""
    tables = [t for t in verdict.evidence.get("tables", []) if isinstance(t, dict) and t.get("rows")]
    sign = _OUTCOMES[verdict.outcome]
    lines = [f"#### {sign} {_inline(verdict.check)}: {verdict.outcome}", "", _paragraph(verdict.reason)]
    body: list[str] = []
    for table in tables:
        body += [
            "",
            f"**{_inline(str(table.get('title', '')))}**",
            "",
            *_table(table.get("columns", []), table["rows"]),
        ]
    facts = [[name, shown] for name, value in verdict.evidence.items() if (shown := _scalar(value)) is not None]
    for name, value in verdict.evidence.items():
        if isinstance(value, list) and value and all(isinstance(line, str) for line in value):
            body += ["", *_folded(_inline(name), ["", *_code(value[-_LOG_LINES:])])]
    if facts:
        body += ["", *_table(["evidence", ""], facts[:_SCALARS])]
    if not body:
        return lines
    return [*lines, *body] if not verdict.green else [*lines, "", *_folded("evidence", body)]


def _switches(record: Record) -> list[str]:
    rows = [
        [_when(s.at), _share(s.before), _share(s.after), f"{s.microseconds:.0f} µs", s.release or "nothing", s.reason]
        for s in record.switches
    ]
    columns = ["at (UTC)", "green before", "green after", "took", "serves", "why"]
    return ["### Traffic", "", *_table(columns, rows)] if rows else []


def _notes(record: Record) -> list[str]:
    lines = [f"- {_when(note.at)} **{_inline(note.kind)}**: {_inline(note.text)}" for note in record.notes]
    return ["### Notes", "", *lines] if lines else []


def _timeline(record: Record) -> list[str]:
    rows = [[_when(s.at), s.step, str(s.state), _seconds(s.seconds)] for s in record.steps]
    return _folded("timeline", ["", *_table(["at (UTC)", "stage", "state", "took"], rows)]) if rows else []


def _log(record: Record) -> list[str]:
    """The end of every text that was kept with the deployment."""
    lines: list[str] = []
    for name, text in record.attachments.items():
        kept = text.splitlines()
        end = kept[-_LOG_LINES:]
        title = f"the end of {_inline(name)} ({len(end)} of {len(kept)} lines)"
        lines += ["", *_folded(title, ["", *_code(end)])]
    return lines[1:]


# -- pieces of Markdown


def _code(lines: Iterable[str]) -> list[str]:
    """Four spaces make a code block that no text can close."""
    return [f"    {_printable(line)[:_CELL]}" for line in lines]


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    head = [_inline(str(column)) for column in columns]
    lines = [_row(head), _row(["---"] * len(head))]
    for row in rows:
        cells = [_cell(value) for value in row]
        lines.append(_row(cells + [""] * (len(head) - len(cells))))
    return lines


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _folded(title: str, body: Sequence[str]) -> list[str]:
    return [f"<details><summary>{title}</summary>", *([] if body and not body[0] else [""]), *body, "", "</details>"]


def _cell(value: Any) -> str:
    text = str(value)
    return _inline(text if len(text) <= _CELL else text[: _CELL - 1] + "…")


def _paragraph(text: str) -> str:
    return "<br>".join(_inline(line.strip()) for line in text.splitlines() if line.strip())


def _inline(text: str) -> str:
    """Text as it is: no markup, no table border, no link, no HTML."""
    shown = " ".join(_printable(text).split())
    for character in "\\`*_[]|~":
        shown = shown.replace(character, f"\\{character}")
    shown = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return shown.replace("@", "&#64;") if "@sha256:" not in shown else shown


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _when(at: str | None) -> str:
    return (at or "")[:19].replace("T", " ")


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1f} s" if value < 99.95 else f"{int(value) // 60} min {int(value) % 60:02d} s"


def _share(green: int | None) -> str:
    return "-" if green is None else f"{green / 10:g} %"


def _scalar(value: Any) -> str | None:
    if value is None or isinstance(value, dict | list | tuple):
        return None
    return f"{value:g}" if isinstance(value, float) else str(value)
