"""What a run tells while it runs. Output is not logging: a reporter shows these on a terminal, in CI or as JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from release.ledger.records import StepState
from release.verdict import Verdict


@dataclass(frozen=True)
class Began:
    """A run starts; `steps` are the names of all steps in order."""

    deployment: str
    title: str
    steps: tuple[str, ...]


@dataclass(frozen=True)
class StepBegan:
    step: str


@dataclass(frozen=True)
class StepProgress:
    """One short line of what the step is doing just now; may come many times a second."""

    step: str
    text: str


@dataclass(frozen=True)
class StepEnded:
    """`state` is done, skipped, failed, undone or undo failed; `seconds` of this step alone."""

    step: str
    state: StepState
    detail: str
    seconds: float


@dataclass(frozen=True)
class VerdictGiven:
    verdict: Verdict


@dataclass(frozen=True)
class Said:
    """A sentence for the person at the terminal."""

    text: str
    level: Literal["info", "warning", "error"] = "info"


@dataclass(frozen=True)
class Excerpt:
    """Lines worth showing whole, such as the end of a failed candidate's log."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Ended:
    """The run is over. `outcome` is the deployment's state, `text` one sentence with the figures."""

    deployment: str
    outcome: str
    text: str
    seconds: float


Event = Began | StepBegan | StepProgress | StepEnded | VerdictGiven | Said | Excerpt | Ended
Report = Callable[[Event], None]
