"""Model switches as Markdown: a part of a deployment's record, or alone."""

from __future__ import annotations

from release.report import pieces
from release.report.models import ModelSwitch, ModelSwitches


def models_markdown(models: ModelSwitches, service: str) -> str:
    """The model switches alone, all that the ledger has."""
    lines = [
        f"## Model switches of {pieces.inline(service)}",
        "",
        *(models_section(models)[2:] or ["none is recorded"]),
    ]
    return "\n".join(lines) + "\n"


def models_section(models: ModelSwitches) -> list[str]:
    """How many ended how, and each of them."""
    if not models.switches:
        return []
    names = {"promote": "promotion", "rollback": "rollback"}
    counted = [
        f"{total} {names.get(action, action)}{'' if total == 1 else 's'} "
        f"({', '.join(f'{count} {state}' for state, count in states.items())})"
        for action, states in models.outcomes.items()
        if (total := sum(states.values()))
    ]
    if models.served:
        counted.append(f"from promotion to rollback: {', '.join(map(pieces.seconds, models.served))}")
    columns = ["at (UTC)", "what", "from", "to", "outcome", "took", "had served", "asked by", "where", "why"]
    rows = [_model(each) for each in models.switches]
    return ["### Model switches", "", pieces.paragraph("; ".join(counted)), "", *pieces.table(columns, rows)]


def _model(each: ModelSwitch) -> list[str]:
    row = each.row
    why = f"{row.reason}: {row.message}" if row.exit_code else row.reason
    to = row.after or (row.version if row.version is not None else "the one before")
    shown = [pieces.when(row.started_at), f"{row.action} {row.component}", row.before or "nothing", to, str(row.state)]
    return [*shown, pieces.seconds(each.seconds), pieces.seconds(each.served), row.actor, row.place, why]
