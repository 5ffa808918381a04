"""A fleet or a crew of one's own for each test; no user of a fleet may have been failed when it ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.modelhost.cluster.crew import Crew
from tests.modelhost.cluster.fleet import Fleet


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path)
    try:
        yield fleet
    finally:
        fleet.end()
    assert fleet.users.wrong == []


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    crew = Crew(tmp_path)
    try:
        yield crew
    finally:
        crew.end()
