"""The step obtain: the image of the commit, built or found, and the release in the ledger."""

from __future__ import annotations

from release.image.store import Image
from release.ledger.records import ReleaseRow
from release.pipeline.events import StepProgress
from release.pipeline.step import Skip
from release.rollout import instances
from release.rollout.deployment import Deployment
from release.rollout.hands import Plan


class ObtainImage:
    """The image of the commit. A complete image is never undone: it is the same again next time."""

    name = "obtain"
    commits = False

    def __init__(self, deployment: Deployment, plan: Plan) -> None:
        self._deployment, self._plan = deployment, plan

    def run(self) -> str | Skip:
        deployment, plan, hands = self._deployment, self._plan, self._deployment.hands

        def progress(line: str) -> None:
            hands.report(StepProgress(self.name, line))
            deployment.alive()

        obtained = plan.obtain(deployment.tree, progress)
        image = obtained.image
        self._accept_rebuilt(image)
        hands.ledger.save_release(
            ReleaseRow(
                name=deployment.release,
                tag=plan.release.tag,
                commit=plan.commit,
                image_id=image.id,
                reference=image.reference,
                digest=image.digest,
                snapshot=plan.snapshot,
                barrier=hands.manifest.rollout.rollback_barrier,
                config=hands.config,
                secrets=instances.fingerprints(instances.read_secrets(hands.manifest), hands.manifest.scope),
                created_at=image.created,
                size=image.size,
            )
        )
        deployment.remember(image_id=image.id, reference=image.reference)
        return f"{image.reference} ({image.id[7:19]}, {image.size / 1e6:.0f} MB, {obtained.how})"

    def _accept_rebuilt(self, image: Image) -> None:
        """Layers of two builds of one commit differ; a new one counts only where the old one is gone."""
        deployment, hands = self._deployment, self._deployment.hands
        known = hands.ledger.release(deployment.release)
        if known is None or known.image_id == image.id or hands.images.get(known.image_id) is not None:
            return
        hands.ledger.renew_image(known.name, image.id, image.size)
        hands.ledger.note("image renewed", f"{known.name} was built again: its image had been pruned", deployment.id)

    def undo(self) -> str | None:
        """A build that was killed leaves layers and perhaps a container of the step that it was at."""
        images, scope = self._deployment.hands.images, self._deployment.hands.manifest.scope
        if self._deployment.fact("image_id") is not None:
            return None
        gone: set[str] = set()
        while left := [one for one in images.leftovers(scope) if one not in gone]:
            for leftover in left:
                images.discard(leftover)
                gone.add(leftover)
        return f"removed {len(gone)} leftovers of its build" if gone else None
