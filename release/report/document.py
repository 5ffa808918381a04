"""The record as JSON-serialisable values, for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from release.report.models import ModelSwitches
from release.report.record import Record, stages

VERSION = 1  # raised when a key changes its meaning or goes


def as_json(record: Record) -> dict[str, Any]:
    """Keys: version, deployment, release, stages, verdicts, switches, model_switches, notes, timeline, attachments."""
    deployment = asdict(record.deployment)
    facts = deployment.pop("facts")
    deployment["reason"] = facts.get("reason", "")
    return {
        "version": VERSION,
        "deployment": deployment,
        "release": _release(record),
        "stages": [
            {"step": s.name, "state": str(s.state), "seconds": s.seconds, "detail": s.detail, "undone": s.undone}
            for s in stages(record.steps)
        ],
        "verdicts": [asdict(verdict) for verdict in record.verdicts],
        "switches": [asdict(switch) for switch in record.switches],
        "model_switches": models_as_json(record.models),
        "notes": [asdict(note) for note in record.notes],
        "timeline": [
            {"at": row.at, "step": row.step, "state": str(row.state), "seconds": row.seconds, "detail": row.detail}
            for row in record.steps
        ],
        "attachments": dict(record.attachments),
    }


def models_as_json(models: ModelSwitches) -> dict[str, Any]:
    """Keys: count, outcomes (action → how it ended → how many), promoted_to_rollback_seconds, switches."""
    return {
        "count": len(models.switches),
        "outcomes": models.outcomes,
        "promoted_to_rollback_seconds": models.served,
        "switches": [
            {**asdict(each.row), "seconds": each.seconds, "promoted_to_rollback_seconds": each.served}
            for each in models.switches
        ],
    }


def _release(record: Record) -> dict[str, Any] | None:
    """Identity and standing. The configuration is left out: it is long, and `release config show` prints it."""
    if record.release is None:
        return None
    found = asdict(record.release)
    for name in ("config", "secrets"):
        found.pop(name)
    return found
