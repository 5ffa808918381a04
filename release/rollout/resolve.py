"""The step resolve: the tree of exactly the tagged commit, in the scratch folder of the run."""

from __future__ import annotations

import shutil

from release.pipeline.step import Skip
from release.rollout.deployment import Deployment
from release.rollout.hands import Plan


class Resolve:
    """Exports exactly the tagged commit, whatever is checked out."""

    name = "resolve"
    commits = False

    def __init__(self, deployment: Deployment, plan: Plan) -> None:
        self._deployment, self._plan = deployment, plan

    def run(self) -> str | Skip:
        self._deployment.remember(prefix=self._plan.prefix)
        work = self._deployment.work
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        self._plan.export(work / "export")
        what = "the working tree on" if self._plan.snapshot else "commit"
        return f"{self._plan.release.tag} is {what} {self._plan.commit[:12]}"

    def undo(self) -> str | None:
        shutil.rmtree(self._deployment.work, ignore_errors=True)
        return None
