"""Two services whose names come to the same scope never work on one another's state."""

from __future__ import annotations

from pathlib import Path

import pytest

from release.config.manifest import Manifest
from release.config.stored import to_ledger
from release.errors import ManifestError
from release.ledger.records import ReleaseRow
from release.wiring.desk import Desk
from release.wiring.surroundings import Surroundings


def manifest_of(service: str, environment: str | None) -> Manifest:
    return Manifest.model_validate({"service": service, "environment": environment, "container": {"port": 80}})


def test_a_service_called_like_anothers_environment_is_refused(tmp_path: Path) -> None:
    desk = Desk(lambda event: None, Surroundings(root=tmp_path, cwd=tmp_path))
    first, namesake = manifest_of("shop", "eu"), manifest_of("shop-eu", None)
    hands = desk.hands(first, to_ledger(first))
    hands.ledger.save_release(ReleaseRow("v1.0.0-abcdef1", "v1.0.0", "abcdef1", "sha256:1", "x", config=hands.config))
    hands.ledger.close()
    desk.hands(first, to_ledger(first)).ledger.close()
    with pytest.raises(ManifestError, match="shop, environment eu"):
        desk.hands(namesake, to_ledger(namesake))
