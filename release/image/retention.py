"""What may go: images, stopped containers and build leftovers that no rollback needs. Pure; it removes nothing itself.

Kept are the live release, the `retain` distinct good releases that were live before it, whatever runs, whatever is
being deployed, and the standby. Everything else that carries this scope's labels may go; nothing else is looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from release.image.store import Image

GOOD = "good"


@dataclass(frozen=True)
class Known:
    """A release as the ledger knows it. `standing` is the ledger's word for it; `last_live_at` is RFC 3339 in UTC, None
    where it never served."""

    name: str
    image_id: str
    standing: str
    last_live_at: str | None = None


@dataclass(frozen=True)
class Stopped:
    """A container of this scope that does not run."""

    id: str
    name: str
    image_id: str
    release: str = ""


@dataclass(frozen=True)
class Situation:
    """All that the decision rests on. `images` are this scope's. `running` and `in_progress` are image ids; `standby`
    is the id of the container that a rollback would start again, `leftovers` are ids of build leftovers."""

    images: Sequence[Image] = ()
    releases: Sequence[Known] = ()
    live: str | None = None
    running: Collection[str] = ()
    in_progress: Collection[str] = ()
    stopped: Sequence[Stopped] = ()
    standby: str | None = None
    leftovers: Sequence[str] = ()


@dataclass(frozen=True)
class Kept:
    image: Image
    reason: str


@dataclass(frozen=True)
class Going:
    image: Image
    reason: str


@dataclass(frozen=True)
class RetentionPlan:
    """Remove `containers` first, then `images`, then `leftovers`. `bytes` is what the images take at most: layers that
    they share with others stay."""

    keep: tuple[Kept, ...] = ()
    images: tuple[Going, ...] = ()
    containers: tuple[Stopped, ...] = ()
    leftovers: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        return sum(going.image.size for going in self.images)


def plan(situation: Situation, retain: int = 3) -> RetentionPlan:
    """Decides over everything in `situation.images`: each is kept or goes, with the reason."""
    reasons = _reasons(situation, retain)
    keep, images = [], []
    for image in _distinct(situation.images):
        if image.id in reasons:
            keep.append(Kept(image, reasons[image.id]))
        else:
            images.append(Going(image, _why_not(image, situation.releases, retain)))
    kept_ids = {kept.image.id for kept in keep}
    return RetentionPlan(
        keep=tuple(keep),
        images=tuple(images),
        containers=tuple(stopped for stopped in situation.stopped if stopped.id != situation.standby),
        leftovers=tuple(left for left in dict.fromkeys(situation.leftovers) if left not in kept_ids),
    )


def targets(releases: Iterable[Known], live: str | None, retain: int) -> list[Known]:
    """The good releases before the live one, last served first, one for each image, at most `retain`."""
    releases = list(releases)
    taken = {release.image_id for release in releases if release.name == live}
    served = [r for r in releases if r.standing == GOOD and r.last_live_at is not None and r.name != live]
    found: list[Known] = []
    for release in sorted(served, key=lambda r: (r.last_live_at or "", r.name), reverse=True):
        if release.image_id not in taken and len(found) < retain:
            taken.add(release.image_id)
            found.append(release)
    return found


def _reasons(situation: Situation, retain: int) -> dict[str, str]:
    """Why an image is kept, by its id; the first reason that applies is the one told."""
    reasons: dict[str, str] = {}
    for release in situation.releases:
        if release.name == situation.live:
            reasons[release.image_id] = "live"
    for image_id in situation.in_progress:
        reasons.setdefault(image_id, "being deployed")
    for image_id in situation.running:
        reasons.setdefault(image_id, "running")
    for stopped in situation.stopped:
        if stopped.id == situation.standby:
            reasons.setdefault(stopped.image_id, "standby")
    for number, release in enumerate(targets(situation.releases, situation.live, retain), 1):
        reasons.setdefault(release.image_id, f"rollback target {number} of {retain}")
    return reasons


def _why_not(image: Image, releases: Iterable[Known], retain: int) -> str:
    known = [release for release in releases if release.image_id == image.id]
    if not image.reference:
        return "no tag names it any more"
    if any(release.standing == GOOD and release.last_live_at is not None for release in known):
        return f"older than the {retain} good releases before the live one"
    if known:
        return known[0].standing if known[0].standing != "new" else "never served"
    return "never deployed"


def _distinct(images: Iterable[Image]) -> list[Image]:
    """One entry for each image and tag; an image is listed by the engine once, whatever its tags."""
    return list({(image.id, image.reference): image for image in images}.values())
