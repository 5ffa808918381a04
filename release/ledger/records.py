"""The rows of the ledger as frozen values. Times are RFC 3339 text in UTC with milliseconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Standing(StrEnum):
    """How a release stands; a rollback that names none goes to a `good` or an `unobserved` one only."""

    NEW = "new"  # never served
    GOOD = "good"
    UNOBSERVED = "unobserved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class DeploymentState(StrEnum):
    RUNNING = "running"
    LIVE = "live"  # committed good
    UNOBSERVED = "unobserved"
    REFUSED = "refused"  # a check or the guard
    FAILED = "failed"  # an error of engine, build, registry …
    UNDONE = "undone"  # after an interruption
    SUPERSEDED = "superseded"
    TRIED = "tried"  # an image was built or gates were asked, and nothing went live


class Kind(StrEnum):
    DEPLOY = "deploy"
    ROLLBACK = "rollback"
    BUILD = "build"
    CHECK = "check"


class ModelAction(StrEnum):
    PROMOTE = "promote"
    ROLLBACK = "rollback"


class ModelState(StrEnum):
    """How a model switch ended."""

    RUNNING = "running"
    SWITCHED = "switched"  # the running service answers with it
    MARKED = "marked"  # the registry's status log says so; nothing that runs was asked
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    FAILED = "failed"
    UNDONE = "undone"
    SUPERSEDED = "superseded"


class StepState(StrEnum):
    STARTED = "started"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNDOING = "undoing"
    UNDONE = "undone"
    UNDO_FAILED = "undo failed"


@dataclass(frozen=True)
class ReleaseRow:
    """A release: immutable identity, and how it stands. `config` is the manifest with which it went live last, else as
    first deployed (JSON, no secrets); `secrets` maps a secret's name to the fingerprint it had then."""

    name: str
    tag: str
    commit: str
    image_id: str
    reference: str
    digest: str | None = None
    snapshot: bool = False
    barrier: bool = False
    standing: Standing = Standing.NEW
    reason: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    created_at: str = ""
    last_live_at: str | None = None
    size: int = 0


@dataclass(frozen=True)
class DeploymentRow:
    """One run. `facts` holds what undo and recovery need, written before the effect they describe."""

    id: str
    kind: Kind
    release: str
    state: DeploymentState
    actor: str
    host: str
    pid: int
    started_at: str
    ended_at: str | None = None
    slot: str | None = None
    previous_release: str | None = None
    previous_slot: str | None = None
    epoch: int = 0
    exit_code: int | None = None
    message: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StepRow:
    number: int
    deployment: str
    step: str
    state: StepState
    at: str
    seconds: float | None = None
    detail: str = ""


@dataclass(frozen=True)
class SwitchRow:
    """Traffic that moved; green shares in per mille, `microseconds` of the one atomic operation."""

    deployment: str
    at: str
    before: int | None
    after: int
    microseconds: float
    release: str
    actor: str
    reason: str


@dataclass(frozen=True)
class ModelSwitchRow:
    """A component's version that was promoted, or left. `version` is what was asked for, None for "the one before".
    `before` and `after` are what served, or what `latest` meant in the registry; None where nothing did, and `after`
    also where it did not end well. `place` is the registry, or the service's address."""

    id: str
    action: ModelAction
    component: str
    version: str | None
    before: str | None
    after: str | None
    place: str
    state: ModelState
    actor: str
    host: str
    pid: int
    started_at: str
    ended_at: str | None = None
    exit_code: int | None = None
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class NoteRow:
    """Something worth keeping that is none of the above: a failed notification, an acceptance, a warning."""

    at: str
    kind: str
    deployment: str | None
    text: str
    data: dict[str, Any] = field(default_factory=dict)
