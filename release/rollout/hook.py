"""The user's own commands as steps, between those of the toolkit."""

from __future__ import annotations

from release.checks.base import RELEASE, URL
from release.pipeline.step import Skip
from release.rollout.deployment import Deployment


class Hook:
    """A command of the user's own (a migration, a cache), run in the exported tree; its failure stops the run."""

    commits = False

    def __init__(self, deployment: Deployment, name: str, command: str) -> None:
        self.name = name
        self._deployment, self._command = deployment, command

    def run(self) -> str | Skip:
        from release.hooks import execute

        manifest = self._deployment.hands.manifest
        return execute(self._command, self._deployment.tree, manifest.hooks.timeout, self._environment())

    def _environment(self) -> dict[str, str]:
        """Which run asks it, for which release; the URL is the slot's, where the candidate is once it has started."""
        deployment, manifest = self._deployment, self._deployment.hands.manifest
        return {
            "RELEASE_HOOK": self.name,
            "RELEASE_SERVICE": manifest.service,
            "RELEASE_ENVIRONMENT": manifest.environment or "",
            RELEASE: deployment.release,
            "RELEASE_DEPLOYMENT": deployment.id,
            "RELEASE_SLOT": deployment.slot.value,
            URL: f"http://127.0.0.1:{deployment.port}",
        }

    def undo(self) -> str | None:
        return None
