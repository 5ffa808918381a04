"""Keeping house: prune what no rollback needs, and accept a release that a check or the guard had rejected."""

from __future__ import annotations

from release.errors import UsageError
from release.ledger.records import Standing
from release.operations.result import Result
from release.operations.settle import settle
from release.pipeline.events import Said
from release.rollout.hands import Hands
from release.rollout.housekeeping import Pruned
from release.rollout.housekeeping import prune as prune_now


def prune(hands: Hands, dry_run: bool) -> Pruned:
    """What a dead run left is settled first: the standby that it displaced is no stopped container to remove.

    The caller holds the deployment lock, but for a dry run. Raises Locked where a rollback is under way.
    """
    if dry_run:
        return prune_now(hands, dry_run=True)
    settle(hands)
    with hands.rollback_lock(0.0):  # it may be about to start what would be removed
        return prune_now(hands, dry_run=False)


def accept(hands: Hands, wanted: str, reason: str) -> Result:
    """Lifts a rejection, a withdrawal or `unobserved`; the ledger keeps who and why. Raises UsageError."""
    if not reason.strip():
        raise UsageError("accepting a release needs a reason", hint="--reason 'why it is good after all'")
    matches = [row for row in hands.ledger.releases() if wanted in (row.name, row.tag)]
    if len(matches) != 1:
        known = ", ".join(row.name for row in (matches or hands.ledger.releases()))
        raise UsageError(
            f"{wanted} is {'no release' if not matches else 'more than one release'}",
            hint=f"there is: {known or 'none'}",
        )
    row = matches[0]
    if row.standing is Standing.GOOD:
        text = f"{row.name} is good already"
    else:
        hands.ledger.set_standing(row.name, Standing.GOOD, f"accepted by {hands.actor}: {reason}", hands.actor)
        text = f"{row.name} was {row.standing} and is good now: {reason}"
    hands.report(Said(text))
    return Result(0, "accepted", text, None, row.name)
