"""Collecting on an object store: `version.json` first, never what somebody wants, and a kill leaves no half version."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelhost.cluster.desired import DesiredLog
from modelhost.cluster.place import place_at
from modelhost.errors import Conflict, RegistryUnavailable, Unknown
from modelhost.registry.base import Status
from modelhost.registry.clearing import gc_remote
from modelhost.registry.objects import WITHDRAWN, ObjectStore
from modelhost.registry.remote import RemoteRegistry
from modelhost.registry.retention import Named
from modelhost.registry.upload import publish_remote
from modelhost.registry.verify import check_files
from tests.modelhost.registry.material import metadata, script, weights
from tests.modelhost.registry.places import Place

NONE = timedelta(0)
AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["mounted", "memory", "s3"])
def place(request: pytest.FixtureRequest) -> Place:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.fixture(params=["memory", "s3"])
def store(request: pytest.FixtureRequest) -> Place:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


def filled(place: Place, tmp_path: Path, count: int = 5) -> RemoteRegistry:
    """A registry with so many stable versions of a model: 1.0.0, 1.1.0 …"""
    registry = place.registry(tmp_path / "publisher")
    for minor in range(count):
        version = f"1.{minor}.0"
        source = weights(tmp_path / f"source-{version}", f"weights {version}")
        publish_remote(registry, source, metadata(version=version), who="anna")
        registry.mark("model", version, Status.STABLE, "anna", "measured")
    return registry


def left(place: Place, tmp_path: Path) -> list[str]:
    """What somebody sees who comes new."""
    return sorted(entry.version for entry in place.registry(tmp_path / "newcomer").versions("model"))


def desired(place: Place, *versions: str) -> DesiredLog:
    """A cluster that served these, one after the other."""
    log = DesiredLog(place_at(place.url, "translator", place.options))
    for version in versions:
        log.write(log.read().propose({"model": version}, "ann", "better", AT, 60.0))
        log.write(log.read().commit(AT))
    return log


def test_the_oldest_go_wholly_and_their_numbers_stay_taken(place: Place, tmp_path: Path) -> None:
    registry = filled(place, tmp_path)
    assert gc_remote(registry, grace=NONE, dry_run=True).removed == []
    done = gc_remote(registry, grace=NONE)
    assert sorted(entry.version for entry in done.removed) == ["1.0.0", "1.1.0"]
    assert done.bytes == sum(entry.info.bytes for entry in done.removed) > 0
    assert left(place, tmp_path) == ["1.2.0", "1.3.0", "1.4.0"]
    assert not [key for key in place.names() if key.startswith(("model/1.0.0", "model/1.1.0"))]
    with pytest.raises(Unknown):
        registry.find("model", "1.0.0")
    with pytest.raises(Conflict, match="removed since"):
        publish_remote(registry, tmp_path / "source-1.0.0", metadata(version="1.0.0"), who="anna")
    for version in left(place, tmp_path):
        check_files(place.registry(tmp_path / "newcomer").find("model", version), full=True)
    assert gc_remote(registry, grace=NONE).removed == []


def test_what_is_pinned_in_use_or_a_clusters_stays(store: Place, tmp_path: Path) -> None:
    registry = filled(store, tmp_path, 8)
    desired(store, "1.0.0", "1.2.0", "1.3.0")
    used, pins = [Named("model", "1.1.0")], [Named("model", "1.4.0")]
    done = gc_remote(registry, in_use=used, pinned=pins, grace=NONE)
    assert [entry.version for entry in done.removed] == ["1.0.0"]
    reasons = {each.entry.version: each.reason for each in done.verdicts}
    assert reasons["1.3.0"] == "desired by the cluster translator"
    assert reasons["1.2.0"] == "the way back of the cluster translator"


def test_what_is_wanted_or_called_stable_at_the_last_moment_is_a_version_again(
    store: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = filled(store, tmp_path, 6)
    registry.mark("model", "1.0.0", Status.REJECTED, "bob", "worse")
    log, withdraw, gone = desired(store, "1.5.0"), ObjectStore.withdraw, []

    def withdrawing(origin: ObjectStore, component: str, version: str, described: bytes) -> None:
        withdraw(origin, component, version, described)
        gone.append(version)
        if len(gone) == 3:
            assert left(store, tmp_path) == ["1.3.0", "1.4.0", "1.5.0"]
            log.write(log.read().propose({"model": "1.2.0"}, "ann", "older", AT, 60.0))
            registry.mark("model", "1.4.0", Status.REJECTED, "bob", "worse")
            registry.mark("model", "1.3.0", Status.REJECTED, "bob", "worse")

    monkeypatch.setattr(ObjectStore, "withdraw", withdrawing)
    done = gc_remote(registry, grace=NONE)
    assert [entry.version for entry in done.removed] == ["1.0.0"]
    reasons = {each.entry.version: each.reason for each in done.verdicts if each.stays}
    assert reasons["1.2.0"] in ("proposed to the cluster translator", "among the 3 newest stable")
    assert reasons["1.1.0"] == "among the 3 newest stable"
    for version in ("1.1.0", "1.2.0"):
        check_files(store.registry(tmp_path / "newcomer").find("model", version), full=True)
    assert not [key for key in store.names() if key.endswith(WITHDRAWN)]


def test_who_knew_a_version_that_is_being_collected_is_told_that_it_is_none(store: Place, tmp_path: Path) -> None:
    registry = filled(store, tmp_path, 4)
    knows = store.registry(tmp_path / "knows")
    assert len(knows.versions("model")) == 4
    gc_remote(registry, grace=NONE)
    store.write(f"model/1.0.0/{WITHDRAWN}", b"{}")  # as where a collector has not come to its end
    with pytest.raises(Unknown, match=r"no version 1\.0\.0"):
        knows.find("model", "1.0.0")


def test_out_of_reach_nothing_is_decided(store: Place, tmp_path: Path) -> None:
    filled(store, tmp_path)
    store.stop()
    with pytest.raises(RegistryUnavailable):
        gc_remote(store.registry(tmp_path / "publisher"), grace=NONE)


# Is killed before its n-th change of the store; says how many there were where it comes to its end.
COLLECTOR = """
import json, os, signal
from datetime import timedelta
from pathlib import Path
from modelhost.registry.bucket import Bucket
from modelhost.registry.clearing import gc_remote
from modelhost.registry.remote import RemoteRegistry

url, options, cache, left = sys.argv[2], json.loads(sys.argv[3]), Path(sys.argv[4]), int(sys.argv[5])
changes = 0

def counted(act):
    def acting(*arguments, **given):
        global changes
        if changes == left:
            os.kill(os.getpid(), signal.SIGKILL)
        changes += 1
        return act(*arguments, **given)
    return acting

for name in ("put", "create", "remove"):
    setattr(Bucket, name, counted(getattr(Bucket, name)))
gc_remote(RemoteRegistry(url, cache, options), grace=timedelta(0))
print(changes, flush=True)
os._exit(0)
"""


def test_a_kill_before_any_change_leaves_only_whole_versions_and_the_next_run_goes_on(
    s3: Place, tmp_path: Path
) -> None:
    seen: list[int] = []
    while True:
        place = Place(f"{s3.url}-{len(seen)}", s3.options)
        folder = tmp_path / str(len(seen))
        registry = filled(place, folder, 4)
        process = script(COLLECTOR, place.url, json.dumps(place.options), folder / "collector", len(seen))
        _, errors = process.communicate(timeout=120)
        assert process.returncode in (0, -signal.SIGKILL), errors
        newcomer = place.registry(folder / "newcomer")
        versions = [entry.version for entry in newcomer.versions("model")]
        assert versions[:3] == ["1.3.0", "1.2.0", "1.1.0"]
        for version in versions:
            check_files(newcomer.find("model", version), full=True)
        seen.append(len(versions))
        if process.returncode == 0:
            break
        gc_remote(registry, grace=NONE)
        origin = registry.origin
        assert isinstance(origin, ObjectStore)
        assert not [key for key in origin.bucket.keys("model") if key.startswith("model/1.0.0")]
        assert left(place, folder) == ["1.1.0", "1.2.0", "1.3.0"]
    assert seen == sorted(seen, reverse=True) and {*seen} == {4, 3}
    assert len(seen) > 5
