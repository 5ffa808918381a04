"""What the toolkit knows of a model's version: plain values, whoever was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

LATEST = "latest"


@dataclass(frozen=True)
class Version:
    """`status` is stable, unstable or rejected; `bytes` all files together; `digest` of their paths and contents.

    `latest`: it is what `latest` means, the newest stable one. `mates`: component → digest of what it works with.
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
    mates: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Held:
    """A version as a running service knows it. `state` is READY in memory, LOADING or UNAVAILABLE; `status` None of
    the one that serves. `digest` and `mates` as of a Version, empty where a service does not tell."""

    component: str
    version: str
    state: str
    serves: bool
    status: str | None
    digest: str = ""
    mates: dict[str, str] = field(default_factory=dict)


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
    """`problems` has a phrase for each file that is not as it was published; none where all is well. A service also
    names what of its environment and mates is not as the version wants it."""

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
    """What was done. `after` is what serves (or what `latest` means) since, None where nothing does; `others`: of the
    components that changed with it, what was before and what is after. Of a set that is called by its name, all are
    others."""

    before: str | None
    after: str | None
    changed: bool
    text: str
    others: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)


class Running(Protocol):
    """A service that answers requests with a set of versions, the one that serves or the one that they name.

    `versions` are component → version; a request names that of the first, and its mates answer with it.
    """

    url: str

    def is_there(self, component: str, version: str) -> bool:
        """Whether it is in memory, or on its way there."""

    def prepare(self, component: str, version: str) -> bool:
        """Brings it into memory beside what serves, so that requests may name it; False where it was there."""

    def leave(self, component: str, version: str) -> None:
        """Out of memory again."""

    def headers(self, versions: Mapping[str, str]) -> Mapping[str, str]:
        """Of a request that these versions are to answer."""

    def proof(self, versions: Mapping[str, str]) -> Mapping[str, str]:
        """Header → what an answer made by all of these names there, with commas."""


class Board(Protocol):
    """Where versions of components are switched: a registry, by its status log, or a service that runs.

    `versions` are component → version, which switch as one; the first is the one that somebody asked for.

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

    def members(self, name: str) -> tuple[str, ...]:
        """The components of the set of this name, of which the first has its version; none where it is no set."""

    def with_members(self, versions: Mapping[str, str], members: Sequence[str]) -> dict[str, str]:
        """These, and what the other members of their set come as: what serves where that fits, else the newest that
        does. Those that stay are left out."""

    def with_mates(self, versions: Mapping[str, str]) -> dict[str, str]:
        """These, and the mates that they need beside them. Raises Refused where there are none."""

    def demand_fit(self, versions: Mapping[str, str]) -> None:
        """Raises Refused where these cannot be one set; the hint names the command that would promote what fits."""

    def is_so(self, versions: Mapping[str, str]) -> bool:
        """Whether promoting these would change nothing."""

    def restore(self, component: str, version: str, who: str, why: str) -> bool:
        """Takes a rejection back, before the gate asks the version; False where there was none to take back."""

    def promote(self, versions: Mapping[str, str], who: str, why: str) -> Switched:
        """As one, checked first; harmless where it is so already."""

    def rollback(self, component: str, to: str | None, who: str, why: str) -> Switched:
        """To the version before, or to a named one; what is left is rejected. Repeated, it goes further back."""
