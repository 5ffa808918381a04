"""What clusters want of a registry, read from what the clusters themselves wrote, and that no collector removes it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelhost.cluster.desired import Desired, DesiredLog
from modelhost.cluster.members import Beat, Members
from modelhost.cluster.place import place_at
from modelhost.errors import IntegrityError
from modelhost.registry.base import Status
from modelhost.registry.collect import gc
from modelhost.registry.directory import DirectoryRegistry
from modelhost.registry.retention import Named
from modelhost.registry.verify import check_files
from modelhost.registry.wishes import Clusters, Folder
from tests.modelhost.registry.material import Publish

NONE = timedelta(0)
AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def registry(root: Path, published: Publish) -> DirectoryRegistry:
    """Eight stable versions of a model."""
    registry = DirectoryRegistry(root)
    for minor in range(8):
        published(f"1.{minor}.0")
        registry.mark("model", f"1.{minor}.0", Status.STABLE, "anna", "measured")
    return registry


def committed(desired: Desired, version: str) -> Desired:
    return desired.propose({"model": version}, "ann", "better", AT, 60.0).commit(AT)


def written(where: Path, *versions: str, group: str = "translator") -> DesiredLog:
    """A cluster that served these, one after the other."""
    log = DesiredLog(place_at(where, group))
    for version in versions:
        for step in (lambda d, v=version: d.propose({"model": v}, "ann", "x", AT, 60.0), lambda d: d.commit(AT)):
            log.write(step(log.read()))
    return log


def left(registry: DirectoryRegistry) -> list[str]:
    return sorted(registry.published("model"))


def wanted(registry: DirectoryRegistry) -> dict[str, str]:
    found = Clusters(registry.versions("model"), [Folder(registry.root)]).want()
    return {name.version: why for name, why in found.items()}


def test_what_is_desired_and_the_way_back_stay_and_what_was_before_goes(registry: DirectoryRegistry) -> None:
    written(registry.root, "1.0.0", "1.1.0", "1.2.0", "1.3.0")
    done = gc(registry, grace=NONE)
    reasons = {each.entry.version: each.reason for each in done.verdicts}
    assert reasons["1.3.0"] == "desired by the cluster translator"
    assert reasons["1.2.0"] == "the way back of the cluster translator"
    assert left(registry) == ["1.2.0", "1.3.0", "1.5.0", "1.6.0", "1.7.0"]


def test_the_way_back_passes_over_what_a_rollback_left_and_what_is_rejected(registry: DirectoryRegistry) -> None:
    log = written(registry.root, "1.0.0", "1.1.0", "1.2.0", "1.3.0")
    log.write(log.read().go_back({"model": "1.2.0"}, {"model": "1.3.0"}, "bob", "worse", AT))
    assert wanted(registry) == {
        "1.2.0": "desired by the cluster translator",
        "1.1.0": "the way back of the cluster translator",
    }
    registry.mark("model", "1.1.0", Status.REJECTED, "bob", "worse too")
    assert set(wanted(registry)) == {"1.2.0", "1.0.0"}


def test_what_members_hold_in_memory_stays_until_it_is_let_go_of_or_rejected(registry: DirectoryRegistry) -> None:
    log = written(registry.root, "1.4.0")
    log.write(log.read().hold("model", "1.0.0", "ann", AT))
    log.write(log.read().hold("model", "1.1.0", "ann", AT))
    assert wanted(registry)["1.0.0"] == "held in memory by the cluster translator"
    registry.mark("model", "1.1.0", Status.REJECTED, "bob", "worse")
    assert gc(registry, grace=NONE).removed
    assert left(registry) == ["1.0.0", "1.4.0", "1.5.0", "1.6.0", "1.7.0"]
    log.write(log.read().let_go("model", "1.0.0", "ann", AT))
    assert "1.0.0" not in wanted(registry)


def test_of_holds_that_cannot_be_read_nothing_is_guessed(registry: DirectoryRegistry) -> None:
    log = written(registry.root, "1.4.0")
    log.write(log.read().hold("model", "1.0.0", "ann", AT))
    newest = max((registry.root / ".cluster" / "translator" / "desired").glob("*.json"))
    newest.write_text(newest.read_text().replace('"component"', '"what"'))
    with pytest.raises(IntegrityError, match="nothing is removed"):
        wanted(registry)


def test_what_is_proposed_and_what_members_serve_stays(registry: DirectoryRegistry) -> None:
    log = written(registry.root, "1.4.0")
    log.write(log.read().propose({"model": "1.0.0"}, "ann", "older", AT, 60.0))
    members = Members(place_at(registry.root, "translator"), 10.0, lambda: 0.0)
    members.beat(Beat(key="anna-1", name="anna", serves=3, versions={"model": "1.1.0"}))
    (registry.root / ".cluster" / "translator" / "members" / "torn.json").write_text('{"versions": {"mod')
    gc(registry, grace=NONE)
    assert left(registry) == ["1.0.0", "1.1.0", "1.4.0", "1.5.0", "1.6.0", "1.7.0"]


def test_every_cluster_counts_also_one_whose_place_is_elsewhere(registry: DirectoryRegistry, tmp_path: Path) -> None:
    written(registry.root, "1.0.0")
    written(registry.root, "1.1.0", group="summary")
    (tmp_path / "shared").mkdir()
    written(tmp_path / "shared", "1.2.0")
    gc(registry, grace=NONE, elsewhere=[Folder(tmp_path / "shared")])
    assert left(registry) == ["1.0.0", "1.1.0", "1.2.0", "1.5.0", "1.6.0", "1.7.0"]


@pytest.mark.parametrize("content", [b'{"format": 2}', b'{"format": 1, "committed": 3}', b"{", b"[]"])
def test_where_a_state_cannot_be_read_nothing_is_removed(registry: DirectoryRegistry, content: bytes) -> None:
    written(registry.root, "1.0.0")
    folder = registry.root / ".cluster" / "translator" / "desired"
    (folder / "000000000009.json").write_bytes(content)
    with pytest.raises(IntegrityError, match="nothing is removed"):
        gc(registry, grace=NONE)
    assert len(left(registry)) == 8


def test_what_a_cluster_wants_at_the_last_moment_comes_back_whole(
    registry: DirectoryRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the decision and the removal: the collector asks again when the versions are out of sight."""
    log = written(registry.root, "1.7.0")
    want, asked = Clusters.want, []

    def switching(clusters: Clusters) -> dict[Named, str]:
        asked.append(left(registry))
        if len(asked) == 2:
            log.write(committed(log.read(), "1.0.0").model_copy(update={"revision": log.read().revision + 1}))
        return want(clusters)

    monkeypatch.setattr(Clusters, "want", switching)
    done = gc(registry, grace=NONE)
    assert "1.0.0" not in asked[1] and "1.0.0" in left(registry)
    check_files(registry.find("model", "1.0.0"), full=True)
    assert "1.0.0" not in {entry.version for entry in done.removed}
    assert next(each for each in done.verdicts if each.entry.version == "1.0.0").stays


def test_where_the_second_look_fails_everything_comes_back(
    registry: DirectoryRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = written(registry.root, "1.7.0")
    want, asked = Clusters.want, []

    def breaking(clusters: Clusters) -> dict[Named, str]:
        asked.append(left(registry))
        if len(asked) == 2:
            path = registry.root / ".cluster" / "translator" / "desired" / f"{log.read().revision + 1:012d}.json"
            path.write_text("{")
        return want(clusters)

    monkeypatch.setattr(Clusters, "want", breaking)
    with pytest.raises(IntegrityError):
        gc(registry, grace=NONE)
    assert len(asked[1]) < 8 and len(left(registry)) == 8
