"""Model switches as a report tells them: how many, how each ended, and how long what was left had served. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from release.ledger.records import ModelAction, ModelState, ModelSwitchRow

_HAPPENED = (ModelState.SWITCHED, ModelState.MARKED)


@dataclass(frozen=True)
class ModelSwitch:
    """`seconds` from its beginning to its end, None while it runs. `served`: of a rollback that happened, the seconds
    from the promotion of what it left to its own end, None where the ledger knows of no such promotion."""

    row: ModelSwitchRow
    seconds: float | None
    served: float | None


@dataclass(frozen=True)
class ModelSwitches:
    """Oldest first. `outcomes`: action → how it ended → how many."""

    switches: tuple[ModelSwitch, ...] = ()

    @property
    def outcomes(self) -> dict[str, dict[str, int]]:
        found: dict[str, Counter[str]] = {}
        for each in self.switches:
            found.setdefault(str(each.row.action), Counter())[str(each.row.state)] += 1
        return {action: dict(counted) for action, counted in sorted(found.items())}

    @property
    def served(self) -> list[float]:
        """Seconds from promotion to rollback of all that was taken back, oldest first."""
        return [each.served for each in self.switches if each.served is not None]


def told(rows: Sequence[ModelSwitchRow], since: str = "", until: str | None = None) -> ModelSwitches:
    """`rows` are all that the ledger has, in any order; of those that began in [since, until) it tells."""
    found = []
    promoted: dict[tuple[str, str, str], str] = {}
    for row in sorted(rows, key=lambda each: (each.started_at, each.id)):
        seconds = _between(row.started_at, row.ended_at)
        served = _served(row, promoted)
        _keep(row, promoted)
        if row.started_at >= since and (until is None or row.started_at < until):
            found.append(ModelSwitch(row, seconds, served))
    return ModelSwitches(tuple(found))


def _served(row: ModelSwitchRow, promoted: Mapping[tuple[str, str, str], str]) -> float | None:
    if row.action is not ModelAction.ROLLBACK or row.state not in _HAPPENED or row.before is None:
        return None
    began = promoted.get((row.place, row.component, row.before))
    return None if began is None else _between(began, row.ended_at)


def _keep(row: ModelSwitchRow, promoted: dict[tuple[str, str, str], str]) -> None:
    """When each version was promoted last, there where it was."""
    if row.action is ModelAction.PROMOTE and row.state in _HAPPENED and row.ended_at is not None:
        promoted[row.place, row.component, row.version or row.after or ""] = row.ended_at


def _between(one: str, other: str | None) -> float | None:
    """Seconds from one RFC 3339 time to the other."""
    if other is None:
        return None
    return (datetime.fromisoformat(other) - datetime.fromisoformat(one)).total_seconds()
