"""A ledger on a real disk, one on a small disk that can be filled, and the rows that the tests put in."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from release.ledger.records import DeploymentRow, DeploymentState, Kind, ReleaseRow
from release.ledger.store import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.db") as opened:
        yield opened


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB of its own. Mounting needs root; without it the test says so and does not pass."""
    if os.geteuid() != 0:
        pytest.skip("filling a disk needs root, to mount one of 1 MiB")
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def fill() -> Callable[[Path], None]:
    def to_the_brim(place: Path) -> None:
        with (place / "ballast").open("wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(b"\0" * 4096)
            except OSError:
                return

    return to_the_brim


@pytest.fixture
def release_row() -> ReleaseRow:
    return ReleaseRow(
        name="v1.2.0-abc1234",
        tag="v1.2.0",
        commit="abc1234" + "0" * 33,
        image_id="sha256:aa",
        reference="translator:v1.2.0-abc1234",
        config={"container": {"port": 5000}},
        secrets={"API_KEY": "0123456789ab"},
    )


@pytest.fixture
def deployment_row() -> DeploymentRow:
    return DeploymentRow(
        id="d-1",
        kind=Kind.DEPLOY,
        release="v1.2.0-abc1234",
        state=DeploymentState.RUNNING,
        actor="alice",
        host="host-1",
        pid=4711,
        started_at="2026-01-01T00:00:00.000Z",
    )
