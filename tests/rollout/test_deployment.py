"""What a deployment knows of itself and of the release beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from release.config.load import parse
from release.config.stored import to_ledger
from release.ledger.records import DeploymentRow, DeploymentState, Kind, ReleaseRow
from release.rollout.deployment import Deployment
from release.wiring.desk import Desk
from release.wiring.surroundings import Surroundings

MANIFEST = """
service: shop
container: {port: 80, env: {MODEL_TOKEN: "${SHOP_TOKEN}"}}
"""


def test_live_is_known_by_the_configuration_that_it_runs_with_variables_and_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers that were kept when it was the candidate are found again once it is live."""
    monkeypatch.setenv("SHOP_TOKEN", "large")
    manifest, _ = parse(MANIFEST, "release.yaml", environ={"SHOP_TOKEN": "large"})
    config = to_ledger(manifest)
    hands = Desk(lambda event: None, Surroundings(root=tmp_path, cwd=tmp_path)).hands(manifest, config)
    hands.ledger.save_release(
        ReleaseRow("v1.0.0-abcdefg", "v1.0.0", "abcdefg", "sha256:1", "shop:v1.0.0", config=config)
    )
    row = DeploymentRow("d1", Kind.DEPLOY, "v1.1.0-bcdefgh", DeploymentState.RUNNING, "ada", "h", 1, "", slot="green")
    beside = Deployment(hands, row)
    assert beside.live_target() is None
    row = replace(row, previous_release="v1.0.0-abcdefg", previous_slot="blue")
    live = Deployment(hands, row).live_target()
    assert live is not None and live.weights == beside.candidate_target().weights != ""
