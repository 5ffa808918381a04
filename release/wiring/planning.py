"""The plan of one deployment: how its tree is exported, how its image is obtained, which checks it passes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from release.ledger.store import utc_now
from release.rollout.hands import Hands, Plan
from release.wiring.parts import image_sources

if TYPE_CHECKING:
    from release.image.build import Obtained
    from release.image.store import Progress
    from release.source.repository import Resolved, Source


def plan(hands: Hands, source: Source, resolved: Resolved, scratch: Path | None, prefix: str, approve: bool) -> Plan:
    """`scratch` has the tree of a snapshot; `prefix` says where in the repository the manifest lies."""
    from release import checks
    from release.image import build

    def export(into: Path) -> None:
        if scratch is not None:
            shutil.move(scratch, into)
        else:
            source.export(resolved.commit, into)

    def obtain(tree: Path, progress: Progress) -> Obtained:
        wanted = build.Wanted(
            release=resolved.release,
            commit=resolved.commit,
            tree=tree,
            now=utc_now(),
            origin_url=resolved.origin_url,
            snapshot=resolved.snapshot,
        )
        return build.obtain(wanted, hands.manifest, image_sources(hands), progress)

    return Plan(
        release=resolved.release,
        commit=resolved.commit,
        export=export,
        obtain=obtain,
        checks=checks.build(hands.manifest, approved=approve),
        left_out=checks.unconfigured(hands.manifest),
        snapshot=resolved.snapshot,
        prefix=prefix,
    )
