"""What a model switch works with: of a service whose ledger keeps it, or of none, where a registry or a service on
modelhost is all there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from release.ledger.records import ModelState, ModelSwitchRow
from release.notify import Occasion
from release.pipeline.events import Report
from release.pipeline.interruption import Interruption
from release.verdict import Verdict


class Records(Protocol):
    """What a switch writes into a ledger, and reads there of those before it."""

    def begin_model_switch(self, row: ModelSwitchRow) -> None: ...
    def finish_model_switch(
        self, switch_id: str, state: ModelState, after: str | None, exit_code: int, message: str
    ) -> None: ...
    def model_switches(self, *, state: ModelState) -> Sequence[ModelSwitchRow]: ...
    def save_verdict(self, deployment_id: str, verdict: Verdict) -> None: ...
    def note(self, kind: str, text: str, deployment: str | None = None, **data: Any) -> None: ...


class Switching(Protocol):
    """Of `Hands`, what a switch of models takes: it starts nothing and moves no traffic."""

    @property
    def ledger(self) -> Records: ...
    @property
    def report(self) -> Report: ...
    @property
    def interruption(self) -> Interruption: ...
    @property
    def notify(self) -> Callable[[Occasion, str, str, str | None], None]: ...
    @property
    def actor(self) -> str: ...


class Nowhere:
    """The ledger of no service: it keeps nothing, and knows of no switch before."""

    def begin_model_switch(self, row: ModelSwitchRow) -> None:
        """Kept by what is switched alone: the registry's status log, the service's history and audit trail."""

    def finish_model_switch(
        self, switch_id: str, state: ModelState, after: str | None, exit_code: int, message: str
    ) -> None:
        """As its beginning."""

    def model_switches(self, *, state: ModelState) -> Sequence[ModelSwitchRow]:
        return ()

    def save_verdict(self, deployment_id: str, verdict: Verdict) -> None:
        """Told to whoever asked, as it is given."""

    def note(self, kind: str, text: str, deployment: str | None = None, **data: Any) -> None:
        """As its beginning."""


@dataclass(frozen=True)
class Unrecorded:
    """The `Switching` of no service: nothing is recorded, and nobody is named who would be told."""

    report: Report
    interruption: Interruption
    actor: str
    ledger: Records = field(default_factory=Nowhere)

    @property
    def notify(self) -> Callable[[Occasion, str, str, str | None], None]:
        return lambda *_: None


def is_recorded(hands: Switching) -> bool:
    """Whether `release history` will know of a switch by these."""
    return not isinstance(hands, Unrecorded)
