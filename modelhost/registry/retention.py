"""Which versions may go. Pure; it removes nothing itself.

Kept of each component: the newest stable ones (three at least), what is in use or pinned, what a cluster wants or may
go back to, what is unstable and newer than every stable one or younger than the grace, and whatever a kept version
names as its mate. The rest may go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

import semver

from modelhost.errors import InvalidRequest
from modelhost.registry.base import Entry, Status

LEAST = 3


@dataclass(frozen=True, slots=True)
class Named:
    """A version by its name."""

    component: str
    version: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` says why a version stays, or why it may go."""

    entry: Entry
    stays: bool
    reason: str


def judge(
    entries: Iterable[Entry],
    *,
    in_use: Collection[Named] = (),
    pinned: Collection[Named] = (),
    wanted: Mapping[Named, str] = MappingProxyType({}),
    keep: int = LEAST,
    young_after: datetime | None = None,
) -> list[Verdict]:
    """One verdict for each of a registry's entries, in their order; hand in those of all components: mates cross them.

    `keep`: how many stable versions of each component stay. `young_after`: unstable ones created later stay. `wanted`:
    version → who wants it, in words.
    Raises InvalidRequest where `keep` is below three.
    """
    if keep < LEAST:
        raise InvalidRequest(
            f"{keep} stable versions are too few to keep", f"keep {LEAST} at least: a rollback needs them"
        )
    entries = list(entries)
    reasons: dict[Named, str] = {}
    for component in {entry.component for entry in entries}:
        own = [entry for entry in entries if entry.component == component]
        reasons |= _by_standing(own, keep, young_after)
    for entry in entries:
        name = _name(entry)
        if name in in_use or name in pinned:
            reasons[name] = "in use" if name in in_use else "pinned"
        elif name in wanted:
            reasons[name] = wanted[name]
    _keep_mates(entries, reasons)
    return [_verdict(entry, reasons.get(_name(entry)), keep) for entry in entries]


def removable(verdicts: Iterable[Verdict]) -> list[Entry]:
    """Those that may go."""
    return [verdict.entry for verdict in verdicts if not verdict.stays]


def _by_standing(own: Sequence[Entry], keep: int, young_after: datetime | None) -> dict[Named, str]:
    stable = sorted((one for one in own if one.status is Status.STABLE), key=lambda one: one.info.order, reverse=True)
    reasons = {_name(entry): f"among the {keep} newest stable" for entry in stable[:keep]}
    newest = semver.Version.parse(stable[0].version) if stable else None
    for entry in own:
        if entry.status is not Status.UNSTABLE:
            continue
        if newest is None or semver.Version.parse(entry.version) > newest:
            reasons[_name(entry)] = "a candidate: newer than every stable one"
        elif young_after is not None and entry.info.created > young_after:
            reasons[_name(entry)] = "a candidate: made lately"
    return reasons


def _keep_mates(entries: Sequence[Entry], reasons: dict[Named, str]) -> None:
    """A mate keeps its own mates, so this goes on until nothing is added."""
    holders: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        holders.setdefault((entry.component, entry.info.digest), []).append(entry)
    waiting = [entry for entry in entries if _name(entry) in reasons]
    while waiting:
        kept = waiting.pop()
        for wanted in kept.info.mates.items():
            for mate in holders.get(wanted, ()):
                if _name(mate) not in reasons:
                    reasons[_name(mate)] = f"a mate of {kept.component} {kept.version}"
                    waiting.append(mate)


def _verdict(entry: Entry, reason: str | None, keep: int) -> Verdict:
    if reason is not None:
        return Verdict(entry, True, reason)
    gone = {
        Status.STABLE: f"older than the {keep} newest stable",
        Status.UNSTABLE: "never became stable, and a newer one did",
        Status.REJECTED: "rejected",
    }
    return Verdict(entry, False, gone[entry.status])


def _name(entry: Entry) -> Named:
    return Named(entry.component, entry.version)
