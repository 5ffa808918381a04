"""What a run leaves for a GitHub workflow: the job summary, and outputs for the steps that follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from release.cli.console import github
from release.errors import ReleaseError

if TYPE_CHECKING:
    from release.operations.result import Result
    from release.rollout.hands import Hands


def publish(hands: Hands, result: Result | None, error: ReleaseError | None) -> None:
    """Writes both for the deployment that this command ran, if it ran one."""
    deployment = result.deployment if result is not None else str(error.context.get("deployment", "")) if error else ""
    row = hands.ledger.deployment(deployment) if deployment else None
    if row is None:
        return
    known = hands.ledger.release(row.release)
    github.append_outputs(
        {
            "deployment": row.id,
            "outcome": str(row.state),
            "release": row.release,
            "image": known.reference if known else "",
            "digest": (known.digest if known else None) or "",
            "url": hands.proxy.public_url,
        }
    )
    from release.report.markdown import markdown
    from release.report.record import gather

    github.append_summary(markdown(gather(hands.ledger, row.id)))
