"""The local cache of a registry elsewhere: old copies that nothing needs leave, and can be pulled again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelhost.registry.base import Status
from modelhost.registry.caching import tidy
from modelhost.registry.remote import RemoteRegistry
from modelhost.registry.retention import Named
from modelhost.registry.upload import publish_remote
from modelhost.registry.verify import check_files
from tests.modelhost.registry.material import metadata, weights
from tests.modelhost.registry.places import Place

LATER = timedelta(days=2)


@pytest.fixture(params=["mounted", "memory"])
def place(request: pytest.FixtureRequest) -> Place:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


def pulled(place: Place, tmp_path: Path, after: timedelta = LATER) -> RemoteRegistry:
    """A registry in whose cache are six stable versions and one that is not, since some time."""
    publisher = place.registry(tmp_path / "publisher")
    for minor in range(7):
        version = f"1.{minor}.0"
        publish_remote(publisher, weights(tmp_path / version, version), metadata(version=version), who="anna")
        if minor < 6:
            publisher.mark("model", version, Status.STABLE, "anna", "measured")
    registry = place.registry(tmp_path / "cache", clock=lambda: datetime.now(UTC) + after)
    for minor in range(7):
        registry.find("model", f"1.{minor}.0")
    return registry


def copies(registry: RemoteRegistry) -> list[str]:
    return sorted(registry.cache.published("model"))


def test_old_copies_that_nothing_needs_leave_and_can_be_pulled_again(place: Place, tmp_path: Path) -> None:
    registry = pulled(place, tmp_path)
    gone = tidy(registry, in_use=[Named("model", "1.1.0")])
    assert sorted(each.version for each in gone) == ["1.0.0", "1.2.0"]
    assert copies(registry) == ["1.1.0", "1.3.0", "1.4.0", "1.5.0", "1.6.0"]
    assert len(registry.versions("model")) == 7, "the registry has them all"
    check_files(registry.find("model", "1.0.0"), full=True)


def test_what_came_lately_stays(place: Place, tmp_path: Path) -> None:
    registry = pulled(place, tmp_path, after=timedelta(0))
    assert tidy(registry) == [] and len(copies(registry)) == 7


def test_what_is_rejected_elsewhere_leaves_and_what_killed_processes_left_is_swept(
    place: Place, tmp_path: Path
) -> None:
    registry = pulled(place, tmp_path)
    registry.mark("model", "1.5.0", Status.REJECTED, "bob", "worse")
    (registry.cache.root / "model" / ".staging-1.0.0-1-abcd").mkdir()
    assert "1.5.0" in {each.version for each in tidy(registry)}
    assert copies(registry) == ["1.2.0", "1.3.0", "1.4.0", "1.6.0"]
    assert not list((registry.cache.root / "model").glob(".staging*"))


def test_a_registry_that_is_away_keeps_nobody_from_tidying(place: Place, tmp_path: Path) -> None:
    registry = pulled(place, tmp_path)
    place.stop()
    tidy(registry)
    assert copies(registry) == ["1.3.0", "1.4.0", "1.5.0", "1.6.0"]


def test_an_empty_cache_is_tidy(place: Place, tmp_path: Path) -> None:
    assert tidy(place.registry(tmp_path / "nothing here")) == []
