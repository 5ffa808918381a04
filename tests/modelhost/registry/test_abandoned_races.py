"""Publishers and collectors on an object store who come at once, late, or are killed: no version ever lacks files."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelhost.errors import RegistryUnavailable, Unknown
from modelhost.registry.bucket import Bucket
from modelhost.registry.clearing import gc_remote
from modelhost.registry.objects import PUBLISHING, SWEEPING, ObjectStore
from modelhost.registry.upload import publish_remote
from modelhost.registry.verify import check_files
from tests.modelhost.registry.leftovers import LEFT, below, broken_off, collected
from tests.modelhost.registry.material import metadata, script, weights
from tests.modelhost.registry.places import Place


@pytest.fixture(params=["memory", "s3"])
def store(request: pytest.FixtureRequest) -> Place:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return weights(tmp_path / "next", "next")


def then(act: Callable[..., object], first: Callable[[], object]) -> Callable[..., object]:
    """`act`, but the first time only after `first`."""
    waiting = [first]

    def acting(*arguments: object, **given: object) -> object:
        if waiting:
            waiting.pop()()
        return act(*arguments, **given)

    return acting


@pytest.mark.parametrize("before", ["put", "objects", "upload", "create"])
def test_a_publisher_that_comes_back_late_never_makes_a_version_that_lacks_files(
    store: Place, tmp_path: Path, source: Path, before: str
) -> None:
    """It sleeps for two days before one of its calls, and a collector comes meanwhile."""
    registry = broken_off(store, tmp_path, source)
    bucket = registry.origin.bucket  # type: ignore[attr-defined]
    registry.origin.bucket.remove(below(store, f"{LEFT}content/")[0])  # type: ignore[attr-defined]
    setattr(bucket, before, then(getattr(bucket, before), lambda: collected(store, tmp_path / "gc")))
    if before == "create":  # the files are gone, and the last look was two days ago
        with pytest.raises(RegistryUnavailable, match="a collector clears what was left"):
            publish_remote(registry, source, metadata(version="1.1.0"), who="anna")
        with pytest.raises(Unknown):
            store.registry(tmp_path / "newcomer").find("model", "1.1.0")
    assert publish_remote(registry, source, metadata(version="1.1.0"), who="anna").fresh
    check_files(store.registry(tmp_path / "newcomer").find("model", "1.1.0"), full=True)


@pytest.mark.parametrize("act", ["put", "objects", "remove"])
def test_of_a_collector_and_a_publisher_who_come_at_once_one_gives_way(
    store: Place, tmp_path: Path, source: Path, act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All files lie there since long ago, so that the publisher brings none; it comes before the collector's act."""
    registry = broken_off(store, tmp_path, source)
    outcome: list[str] = []

    def publish() -> None:
        try:
            publish_remote(registry, source, metadata(version="1.1.0"), who="anna")
            outcome.append("published")
        except RegistryUnavailable:
            outcome.append("told to wait")

    now = datetime.now(UTC) + timedelta(days=2)
    original = getattr(Bucket, act)
    busy: list[bool] = []

    def acting(bucket: Bucket, key: str, *given: object) -> object:
        if not busy and key.startswith("model/1.1.0"):
            busy.append(True)
            publish()
        return original(bucket, key, *given)

    monkeypatch.setattr(Bucket, act, acting)
    # The publisher's mark is young by the collector's clock as well: only what lay there before was written long ago.
    origin = registry.origin
    assert isinstance(origin, ObjectStore)
    objects = Bucket.objects
    old = {each.key for each in objects(origin.bucket, "model")}

    def aged(bucket: Bucket, folder: str) -> list[object]:
        return [each if each.key in old else replace(each, at=now) for each in objects(bucket, folder)]

    monkeypatch.setattr(Bucket, "objects", aged if act != "objects" else lambda b, f: (acting(b, f), aged(b, f))[1])
    swept = gc_remote(store.registry(tmp_path / "gc", clock=lambda: now)).swept
    monkeypatch.undo()
    expected = {"put": ("published", 0), "objects": ("told to wait", 1), "remove": ("told to wait", 1)}[act]
    assert (*outcome, len(swept)) == expected
    if outcome == ["told to wait"]:
        assert below(store, LEFT) == []
        assert publish_remote(registry, source, metadata(version="1.1.0"), who="anna").fresh
    check_files(store.registry(tmp_path / "newcomer").find("model", "1.1.0"), full=True)


def test_the_mark_of_a_collector_that_was_killed_an_hour_ago_hinders_no_publisher(
    memory: Place, tmp_path: Path, source: Path
) -> None:
    import fsspec

    registry = broken_off(memory, tmp_path, source)
    memory.write(f"{LEFT}{SWEEPING}killed.json", b"{}")
    with pytest.raises(RegistryUnavailable, match="a collector clears"):
        publish_remote(registry, source, metadata(version="1.1.0"), who="anna")
    system, base = fsspec.core.url_to_fs(memory.url)
    system.store[f"{base}/{LEFT}{SWEEPING}killed.json"].created -= timedelta(hours=2)
    assert publish_remote(registry, source, metadata(version="1.1.0"), who="anna").fresh
    assert collected(memory, tmp_path / "gc").swept == []


# Is killed before its n-th change of the store; says how many there were where it comes to its end.
SWEEPER = """
import json, os, signal
from datetime import UTC, datetime, timedelta
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
gc_remote(RemoteRegistry(url, cache, options, clock=lambda: datetime.now(UTC) + timedelta(days=2)))
print(changes, flush=True)
os._exit(0)
"""


def test_what_a_killed_collector_began_is_ended_by_the_next_and_keeps_a_publisher_waiting_only_for_an_hour(
    s3: Place, tmp_path: Path, source: Path
) -> None:
    broken_off(s3, tmp_path, source)
    for number in range(3):
        process = script(SWEEPER, s3.url, json.dumps(s3.options), tmp_path / "collector", number)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL, errors
    assert len(below(s3, LEFT + SWEEPING)) == 2
    registry = s3.registry(tmp_path / "publisher")
    with pytest.raises(RegistryUnavailable, match="a collector clears") as told:
        publish_remote(registry, source, metadata(version="1.1.0"), who="anna")
    assert "waited for, for an hour" in told.value.hint
    assert len(below(s3, LEFT + PUBLISHING)) == 0
    assert len(collected(s3, tmp_path / "gc").swept) == 1
    assert below(s3, LEFT) == []
    assert publish_remote(registry, source, metadata(version="1.1.0"), who="anna").fresh
