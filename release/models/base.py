"""What the toolkit knows of a model's version: plain values, whoever was asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

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
class Held:
    """A version as a running service knows it. `state` is READY in memory, LOADING or UNAVAILABLE; `status` None of
    the one that serves."""

    component: str
    version: str
    state: str
    serves: bool
    status: str | None


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


class Running(Protocol):
    """A service that answers requests with a version of a component, the one that serves or one that they name."""

    url: str

    def prepare(self, component: str, version: str) -> bool:
        """Brings it into memory beside what serves, so that requests may name it; False where it was there."""

    def leave(self, component: str, version: str) -> None:
        """Out of memory again."""

    def headers(self, component: str, version: str) -> Mapping[str, str]:
        """Of a request that this version is to answer."""

    def proof(self, component: str, version: str) -> Mapping[str, str]:
        """Header → what an answer made by this version names there."""


class Board(Protocol):
    """Where a component's version is switched: a registry, by its status log, or a service that runs.

    Errors are the toolkit's: UsageError for a name that is not there, Refused, ModelsError.
    """

    where: str

    @property
    def running(self) -> Running | None:
        """What can be asked a benchmark set; None where nothing runs."""

    def number(self, component: str, version: str) -> str:
        """The number of a version that is there."""

    def current(self, component: str) -> str | None:
        """What serves, or what `latest` means; None where nothing does."""

    def demand_expected(self) -> None:
        """Raises Superseded where another generation serves than the one that its switches are meant for."""

    def is_so(self, component: str, version: str) -> bool:
        """Whether promoting it would change nothing."""

    def restore(self, component: str, version: str, who: str, why: str) -> bool:
        """Takes a rejection back, before the gate asks the version; False where there was none to take back."""

    def promote(self, component: str, version: str, who: str, why: str) -> Switched:
        """Checked first; harmless where it is so already."""

    def rollback(self, component: str, to: str | None, who: str, why: str) -> Switched:
        """To the version before, or to a named one; what is left is rejected. Repeated, it goes further back."""
