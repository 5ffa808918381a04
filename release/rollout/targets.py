"""Which release a rollback goes to. Pure: rows of the ledger in, a choice with its reason out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from release.errors import Refused, UsageError
from release.ledger.records import DeploymentRow, DeploymentState, Kind, ReleaseRow, Standing
from release.naming import Slot, echoed

_LIVE = (DeploymentState.LIVE, DeploymentState.UNOBSERVED)
_BARE = (Standing.GOOD, Standing.UNOBSERVED)


@dataclass(frozen=True)
class Choice:
    """`release` is where to go, or None where there is nothing to do; `reason` says why, for a person."""

    release: ReleaseRow | None
    reason: str


def moved_traffic(row: DeploymentRow) -> bool:
    """True where this run changed what serves, whether it lasted or not."""
    return row.state in _LIVE or row.facts.get("switching_at") is not None


def choose(
    live: str | None, releases: Sequence[ReleaseRow], deployments: Sequence[DeploymentRow], to: str | None
) -> Choice:
    """`deployments` newest first. Without `to`, the release before the last change of live, once.

    Raises Refused where going back is not possible or not allowed, UsageError for a name nobody knows.
    """
    if live is None:
        raise Refused("nothing is live, so there is nothing to roll back", hint="`release deploy TAG`")
    if to is not None:
        return named(live, releases, to)
    changes = [row for row in deployments if moved_traffic(row)]
    if not changes:
        raise Refused(f"{live} is the only release there ever was", hint="`release rollback --list` shows the targets")
    last = changes[0]
    if last.kind is Kind.ROLLBACK and not last.facts.get("forward"):
        return Choice(None, f"already rolled back to {live} by {last.actor}; going further takes --to (see --list)")
    taken_back = last.state not in _LIVE and last.state is not DeploymentState.RUNNING
    if last.release != live or (taken_back and last.previous_release == live):
        why = f" ({last.message})" if taken_back and last.message else ""
        return Choice(None, f"{last.release} was taken back already{why}; {live} is live; going further takes --to")
    return _before(live, releases, last)


def named(live: str | None, releases: Sequence[ReleaseRow], to: str) -> Choice:
    """The release called `to`; `live` None where what serves cannot be told, so that any good one is a choice."""
    matches = [row for row in releases if to in (row.name, row.tag)]
    if not matches:
        known = ", ".join(row.name for row in releases if row.last_live_at) or "none"
        raise UsageError(f"no release {echoed(to)} is known here", hint=f"releases that were live: {known}")
    if len(matches) > 1:
        names = ", ".join(row.name for row in matches)
        raise UsageError(f"{echoed(to)} is more than one release", hint=f"name one of {names}")
    row = matches[0]
    if row.name == live:
        return Choice(None, f"{live} is live already")
    if row.standing is Standing.REJECTED:
        raise Refused(
            f"{row.name} was rejected: {row.reason}", hint=f"`release accept {row.name} --reason …` lifts that"
        )
    if row.standing is Standing.NEW:
        raise Refused(f"{row.name} never served", hint=f"`release deploy {row.tag}` takes it through its gates first")
    return Choice(row, f"{row.name} was asked for by name")


def _before(live: str, releases: Sequence[ReleaseRow], last: DeploymentRow) -> Choice:
    by_name = {row.name: row for row in releases}
    leaving = by_name.get(live)
    if leaving is not None and leaving.barrier:
        raise Refused(
            f"{live} is a rollback barrier: what it changed cannot be taken back by an older release",
            hint="`release rollback --to NAME` goes behind it all the same",
        )
    previous = by_name.get(last.previous_release or "")
    if previous is not None and previous.standing in _BARE and previous.name != live:
        return Choice(previous, f"{previous.name} was live before {live}")
    for row in candidates(live, releases):
        return Choice(row, f"{row.name} is the newest good release before {live}")
    raise Refused(
        f"there is no good release before {live}", hint="`release rollback --list` shows what there is and why not"
    )


def stays_in(slot: Slot, deployments: Sequence[DeploymentRow]) -> str | None:
    """The release that a run left in the slot last, by the ledger alone; `deployments` newest first.

    None where something else may be there: a run is under way or was not wholly undone, or is stopping what it holds.
    """
    for row in deployments:
        if row.facts.get("stopping"):
            return None
        if row.slot != slot:
            continue
        if row.state in _LIVE:
            return row.release
        began = row.kind is Kind.ROLLBACK or row.facts.get("candidate_expected")
        if began and (row.state is DeploymentState.RUNNING or row.facts.get("unsettled")):
            return None
    return None


def is_forward(leaving: ReleaseRow | None, target: ReleaseRow) -> bool:
    """True where the target is the newer release: going there takes nothing back, so the one left stays as it stood."""
    return leaving is not None and target.created_at > leaving.created_at


def candidates(live: str, releases: Sequence[ReleaseRow], excluding: Collection[str] = ()) -> list[ReleaseRow]:
    """Good releases that were live, newest first, without the live one."""
    rows = [row for row in releases if row.standing in _BARE and row.last_live_at and row.name != live]
    return sorted((r for r in rows if r.name not in excluding), key=lambda row: row.last_live_at or "", reverse=True)
