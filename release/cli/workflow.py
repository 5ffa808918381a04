"""What a run leaves for a GitHub workflow: the job summary, and outputs for the steps that follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from release.cli.console import github
from release.errors import ReleaseError

if TYPE_CHECKING:
    from release.operations.result import Result
    from release.rollout.hands import Hands


def publish(hands: Hands, result: Result | None, error: ReleaseError | None) -> None:
    """Both for the deployment that this command ran; where it found nothing to do (the version is live already), the
    outputs alone, so that a job that is run again hands on the same."""
    deployment = result.deployment if result is not None else str(error.context.get("deployment", "")) if error else ""
    row = hands.ledger.deployment(deployment) if deployment else None
    if row is not None:
        _outputs(hands, row.release, str(row.state), row.id)
        _summary(hands, row.id)
    elif result is not None and result.release is not None:
        _outputs(hands, result.release, str(result.outcome), "")


def _outputs(hands: Hands, release: str, outcome: str, deployment: str) -> None:
    known = hands.ledger.release(release)
    github.append_outputs(
        {
            "deployment": deployment,
            "outcome": outcome,
            "release": release,
            "image": known.reference if known else "",
            "digest": (known.digest if known else None) or "",
            "url": hands.proxy.public_url,
        }
    )


def _summary(hands: Hands, deployment: str) -> None:
    from release.report.markdown import markdown
    from release.report.record import gather

    github.append_summary(markdown(gather(hands.ledger, deployment)))
