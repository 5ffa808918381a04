"""A step of a deployment: one verb, and its undoing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Skip:
    """What `run` returns where there was nothing to do; silence never looks like success, so it has a reason."""

    reason: str


class Step(Protocol):
    """`run` does the step and returns one line for people; it raises a ReleaseError where it cannot.

    `undo` takes back whatever `run` did, wholly or in part; it is harmless when `run` did nothing, and works from the
    facts that the deployment remembered, so that another process can call it after a crash.
    `commits` marks the step after which nothing is undone any more.
    """

    name: str
    commits: bool

    def run(self) -> str | Skip: ...

    def undo(self) -> str | None: ...
