"""The record as Markdown that GitHub renders: an overview, the stages, the evidence, the timeline, the log's end.

What comes from outside (a log, a translation, a reason) is escaped, and the whole stays within a job summary's limit.
"""

from __future__ import annotations

from collections.abc import Callable

from release.ledger.records import DeploymentState, Kind, StepState
from release.report import pieces
from release.report.models_markdown import models_section
from release.report.record import Record, Stage, stages
from release.verdict import Outcome, Verdict

LIMIT = 1_000_000  # bytes; GitHub refuses a job summary above 1 MiB whole
_LOG_LINES = 60
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
        lambda record: models_section(record.models),
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
    lines = [f"## {sign} {verb}{between}{pieces.inline(row.release)}: {row.state}"]
    if row.message:
        lines += ["", pieces.paragraph(row.message)]
    return lines


def _overview(record: Record) -> list[str]:
    row, release = record.deployment, record.release
    pairs: list[tuple[str, str | None]] = [
        ("deployment", row.id),
        ("asked for by", row.actor),
        ("host", row.host),
        ("started", pieces.when(row.started_at)),
        ("ended", pieces.when(row.ended_at) if row.ended_at else "not yet"),
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
    return pieces.table(["", ""], [[name, value] for name, value in pairs if value])


def _stages(record: Record) -> list[str]:
    found = stages(record.steps)
    if not found:
        return []
    return ["### Stages", "", *pieces.table(["", "stage", "time", "what"], [_stage(stage) for stage in found])]


def _stage(stage: Stage) -> list[str]:
    told = stage.detail or ("" if stage.state is StepState.DONE else str(stage.state))
    if stage.state is StepState.STARTED:
        told = "has no end on record: it runs, or its process was killed here"
    if stage.undone is not None:
        told = f"{told}; ↩️ {stage.undone}" if told else f"↩️ {stage.undone}"
    return [_SIGNS.get(stage.state, ""), stage.name, pieces.seconds(stage.seconds), told]


def _verdicts(record: Record) -> list[str]:
    lines: list[str] = []
    for verdict in record.verdicts:
        lines += ["", *_verdict(verdict)] if lines else _verdict(verdict)
    return ["### Verdicts", "", *lines] if lines else []


def _verdict(verdict: Verdict) -> list[str]:
    """Open where it is red; a green one is folded, its sentence visible."""
    tables = [t for t in verdict.evidence.get("tables", []) if isinstance(t, dict) and t.get("rows")]
    sign = _OUTCOMES[verdict.outcome]
    lines = [f"#### {sign} {pieces.inline(verdict.check)}: {verdict.outcome}", "", pieces.paragraph(verdict.reason)]
    body: list[str] = []
    for table in tables:
        body += [
            "",
            f"**{pieces.inline(str(table.get('title', '')))}**",
            "",
            *pieces.table(table.get("columns", []), table["rows"]),
        ]
    facts = [[name, shown] for name, value in verdict.evidence.items() if (shown := pieces.scalar(value)) is not None]
    for name, value in verdict.evidence.items():
        if isinstance(value, list) and value and all(isinstance(line, str) for line in value):
            body += ["", *pieces.folded(pieces.inline(name), ["", *pieces.code(value[-_LOG_LINES:])])]
    if facts:
        body += ["", *pieces.table(["evidence", ""], facts[:_SCALARS])]
    if not body:
        return lines
    return [*lines, *body] if not verdict.green else [*lines, "", *pieces.folded("evidence", body)]


def _switches(record: Record) -> list[str]:
    rows = [
        [
            pieces.when(s.at),
            pieces.share(s.before),
            pieces.share(s.after),
            f"{s.microseconds:.0f} µs",
            s.release or "nothing",
            s.reason,
        ]
        for s in record.switches
    ]
    columns = ["at (UTC)", "green before", "green after", "took", "serves", "why"]
    return ["### Traffic", "", *pieces.table(columns, rows)] if rows else []


def _notes(record: Record) -> list[str]:
    lines = [
        f"- {pieces.when(note.at)} **{pieces.inline(note.kind)}**: {pieces.inline(note.text)}" for note in record.notes
    ]
    return ["### Notes", "", *lines] if lines else []


def _timeline(record: Record) -> list[str]:
    rows = [[pieces.when(s.at), s.step, str(s.state), pieces.seconds(s.seconds)] for s in record.steps]
    return pieces.folded("timeline", ["", *pieces.table(["at (UTC)", "stage", "state", "took"], rows)]) if rows else []


def _log(record: Record) -> list[str]:
    """The end of every text that was kept with the deployment."""
    lines: list[str] = []
    for name, text in record.attachments.items():
        kept = text.splitlines()
        end = kept[-_LOG_LINES:]
        title = f"the end of {pieces.inline(name)} ({len(end)} of {len(kept)} lines)"
        lines += ["", *pieces.folded(title, ["", *pieces.code(end)])]
    return lines[1:]
