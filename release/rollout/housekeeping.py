"""Housekeeping: removes what the retention plan lets go, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from release.engine.base import Instance, State
from release.errors import EngineError
from release.image import retention
from release.ledger.records import ReleaseRow, Standing
from release.naming import Slot
from release.rollout.hands import Hands


@dataclass
class Pruned:
    """What went (or would go) and what stays, each with its reason; `bytes` is what the images take at most."""

    removed: list[tuple[str, str]] = field(default_factory=list)
    kept: list[tuple[str, str]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    bytes: int = 0
    counts: dict[str, int] = field(default_factory=dict)  # of what went, by kind


def prune(hands: Hands, *, dry_run: bool) -> Pruned:
    """Containers first, then images, then build leftovers. What cannot be removed is told and stops nothing."""
    plan = retention.plan(situation(hands), hands.manifest.retain)
    pruned = Pruned(kept=[(kept.image.reference or kept.image.id[7:19], kept.reason) for kept in plan.keep])
    for container in plan.containers:
        remove = partial(hands.engine.remove, container.id)
        _remove(pruned, "container", container.name, "a stopped container", dry_run, remove)
    for going in plan.images:
        name = going.image.reference or going.image.id[7:19]
        _remove(pruned, "image", name, going.reason, dry_run, partial(hands.images.remove, going.image))
    for leftover in plan.leftovers:
        _remove(
            pruned,
            "build leftover",
            leftover[:19],
            "left from a build",
            dry_run,
            partial(hands.images.discard, leftover),
        )
    pruned.bytes = plan.bytes
    return pruned


def told(counts: dict[str, int]) -> str:
    """`pruned 1 container and 2 images`; empty where nothing went."""
    parts = [f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in counts.items()]
    listed = " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))
    return f"pruned {listed}" if listed else ""


def situation(hands: Hands) -> retention.Situation:
    """Everything the plan rests on, as it is now."""
    mine = hands.engine.instances(hands.manifest.scope)
    live_slot = _live_slot(hands)
    live = next((i.release for i in mine if i.slot is live_slot and i.runs), None)
    rows = hands.ledger.releases()
    # A release that too few requests reached is what a bare rollback goes back to where it was live last.
    unobserved = [r for r in rows if r.standing is Standing.UNOBSERVED and r.last_live_at and r.name != live]
    under_way = [row.facts.get("image_id", "") for row in hands.ledger.unfinished()]
    return retention.Situation(
        images=hands.images.all(hands.manifest.scope),
        releases=[retention.Known(r.name, r.image_id, str(r.standing), r.last_live_at) for r in rows],
        live=live,
        running=[i.image_id for i in mine if i.runs],
        in_progress=[*under_way, *_anchor(hands, rows), *(row.image_id for row in unobserved[:1])],
        stopped=[retention.Stopped(i.id, i.name, i.image_id, i.release) for i in mine if not i.runs],
        standby=cold_standby(mine, live_slot, live),
        leftovers=hands.images.leftovers(hands.manifest.scope),
    )


def _anchor(hands: Hands, rows: Sequence[ReleaseRow]) -> list[str]:
    """The image of the pinned release that the quality gate compares with."""
    quality = hands.manifest.checks.quality
    pinned = quality.anchor if quality is not None else None
    return [row.image_id for row in rows if pinned is not None and pinned in (row.name, row.tag)]


def _live_slot(hands: Hands) -> Slot | None:
    traffic = hands.proxy.switch.get()
    return None if traffic is None else traffic.live


def cold_standby(mine: list[Instance], live_slot: Slot | None, live: str | None) -> str | None:
    """The stopped container that a rollback would start again: in the idle slot, where nothing runs. One that a killed
    run had the engine create, and that never ran, is none, however new it is."""
    if live_slot is None:
        return None
    idle = [i for i in mine if i.slot is live_slot.other]
    if any(i.runs for i in idle):
        return None
    stopped = [i for i in idle if i.release != live and i.state is not State.CREATED]
    return max(stopped, key=lambda i: i.deployment).id if stopped else None


def _remove(pruned: Pruned, kind: str, name: str, reason: str, dry_run: bool, act: Callable[[], object]) -> None:
    try:
        if not dry_run:
            act()
    except EngineError as error:
        pruned.failed.append((name, error.message))
    else:
        pruned.removed.append((name, reason))
        pruned.counts[kind] = pruned.counts.get(kind, 0) + 1
