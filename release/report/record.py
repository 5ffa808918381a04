"""Everything that is known of one deployment, gathered from the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from release.ledger.records import DeploymentRow, Kind, NoteRow, ReleaseRow, StepRow, StepState, SwitchRow
from release.ledger.store import Ledger
from release.report.models import ModelSwitches, told
from release.verdict import Verdict


@dataclass(frozen=True)
class Record:
    """`steps` is the journal in order; `switches` and `notes` oldest first; `attachments` maps names to texts.

    `models`: the model switches from its beginning to that of the next run that meant to go live.
    """

    deployment: DeploymentRow
    release: ReleaseRow | None = None
    steps: Sequence[StepRow] = ()
    verdicts: Sequence[Verdict] = ()
    switches: Sequence[SwitchRow] = ()
    notes: Sequence[NoteRow] = ()
    attachments: dict[str, str] = field(default_factory=dict)
    models: ModelSwitches = field(default_factory=ModelSwitches)


@dataclass(frozen=True)
class Stage:
    """A step as a reader wants it: its last word, and what was taken back afterwards, where anything was."""

    name: str
    state: StepState
    seconds: float | None
    detail: str
    undone: str | None = None


def gather(ledger: Ledger, deployment_id: str) -> Record:
    """Raises LedgerError where the ledger cannot be read, KeyError for a deployment that it does not know."""
    deployment = ledger.deployment(deployment_id)
    if deployment is None:
        raise KeyError(deployment_id)
    names = ledger.attachments(deployment_id)
    return Record(
        deployment=deployment,
        release=ledger.release(deployment.release),
        steps=ledger.steps(deployment_id),
        verdicts=ledger.verdicts(deployment_id),
        switches=list(reversed(ledger.switches(deployment=deployment_id))),
        notes=list(reversed(ledger.notes(deployment=deployment_id))),
        attachments={name: ledger.attachment(deployment_id, name) or "" for name in names},
        models=told(ledger.model_switches(), deployment.started_at, _next(ledger, deployment)),
    )


def _next(ledger: Ledger, deployment: DeploymentRow) -> str | None:
    """When the next deployment or rollback began; None for the last one."""
    kinds = (Kind.DEPLOY, Kind.ROLLBACK)
    later = [row.started_at for kind in kinds for row in ledger.deployments(kind=kind)]
    return min((at for at in later if at > deployment.started_at), default=None)


def stages(steps: Sequence[StepRow]) -> list[Stage]:
    """One a step in the order in which they began. A step that has no last word was cut off where it stood."""
    found: dict[str, Stage] = {}
    for row in steps:
        before = found.get(row.step)
        if row.state is StepState.UNDOING:
            continue
        if row.state in (StepState.UNDONE, StepState.UNDO_FAILED) and before is not None:
            failed = row.state is StepState.UNDO_FAILED
            taken_back = f"undo failed: {row.detail}" if failed else row.detail or None
            found[row.step] = Stage(before.name, before.state, before.seconds, before.detail, taken_back)
        else:
            found[row.step] = Stage(row.step, row.state, row.seconds, row.detail)
    return list(found.values())
