"""What the toolkit knows of a model's version: plain values, whoever was asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Protocol

LATEST = "latest"


@dataclass(frozen=True)
class Version:
    """`status` is stable, unstable or rejected; `bytes` all files together; `digest` of their paths and contents.

    `latest`: it is what `latest` means, the newest stable one.
    """

    component: str
    version: str
    status: str
    latest: bool
    created: datetime
    loader: str
    note: str
    bytes: int
    digest: str
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """One line of a component's status log."""

    at: datetime
    version: str
    status: str
    who: str
    why: str


@dataclass(frozen=True)
class Described:
    """A version with all that its `version.json` says, and who changed its status, the oldest first."""

    version: Version
    says: dict[str, Any]
    log: tuple[Change, ...]


@dataclass(frozen=True)
class Verified:
    """`problems` has a phrase for each file that is not as it was published; none where all is well."""

    component: str
    version: str
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Kept:
    """What `gc` decided about a version, and why."""

    component: str
    version: str
    stays: bool
    reason: str
    bytes: int


@dataclass(frozen=True)
class Collected:
    """`removed` says whether those that may go are gone; `swept` names what killed publishers left."""

    verdicts: tuple[Kept, ...]
    removed: bool
    bytes: int
    swept: tuple[str, ...]


@dataclass(frozen=True)
class Switched:
    """What was done. `after` is what serves (or what `latest` means) since, None where nothing does."""

    before: str | None
    after: str | None
    changed: bool
    text: str


class Board(Protocol):
    """Where a component's version is switched: a registry, by its status log, or a service that runs.

    Errors are the toolkit's: UsageError for a name that is not there, Refused, ModelsError.
    """

    where: str
    runs: ClassVar[bool]
    """Whether something answers with the version: only then can it be asked a benchmark set."""

    def number(self, component: str, version: str) -> str:
        """The number of a version that is there."""

    def current(self, component: str) -> str | None:
        """What serves, or what `latest` means; None where nothing does."""

    def promote(self, component: str, version: str, who: str, why: str) -> Switched:
        """Checked first; harmless where it is so already."""

    def rollback(self, component: str, to: str | None, who: str, why: str) -> Switched:
        """To the version before, or to a named one; what is left is rejected. Repeated, it goes further back."""
