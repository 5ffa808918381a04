"""What a registry is to the rest of modelhost: entries with a status, found by component and version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from modelhost.metadata import VersionInfo

LATEST = "latest"


class Status(StrEnum):
    """How a version stands. A fresh one is unstable; `latest` is the newest stable one; a rejected one never serves."""

    UNSTABLE = "unstable"
    STABLE = "stable"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class StatusChange:
    """One line of a component's status log."""

    at: datetime
    version: str
    status: Status
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A version as the registry holds it; `path` is the local, immutable directory with its files.

    `heal` replaces these files where they are a verified copy of what lies elsewhere, and is handed what differs in
    them, a phrase each, and whether sha256 says so; afterwards they are whole, or it raises IntegrityError. None where
    these files are all there is.
    """

    info: VersionInfo
    path: Path
    status: Status
    heal: Callable[[Sequence[str], bool], None] | None = field(default=None, compare=False, repr=False)

    @property
    def component(self) -> str:
        """The component's name."""
        return self.info.component

    @property
    def version(self) -> str:
        """The version, canonical (`1.2.0`)."""
        return self.info.version


class Registry(Protocol):
    """Where versions come from. Errors: Unknown, IntegrityError (broken metadata), RegistryUnavailable."""

    def components(self) -> list[str]:
        """Names of all components, sorted."""

    def versions(self, component: str) -> list[Entry]:
        """All versions of a component, the newest first. Raises Unknown where there is no such component."""

    def find(self, component: str, version: str = LATEST) -> Entry:
        """One version, `v1.2.0` or `1.2.0`, or the newest stable one for `latest`; its files are local afterwards.

        Raises Unknown (the hint lists what there is), NothingStable for `latest` where none is stable.
        """

    def mark(self, component: str, version: str, status: Status, who: str, why: str) -> StatusChange:
        """Append to the status log; durable on return."""

    def log(self, component: str) -> list[StatusChange]:
        """Every change of status, the oldest first."""
