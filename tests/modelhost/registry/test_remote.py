"""Registries elsewhere: a mounted directory, fsspec's memory, and S3 spoken over HTTP on loopback."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from modelhost.errors import (
    ConfigError,
    Conflict,
    IncompleteMetadata,
    IntegrityError,
    NothingStable,
    Refused,
    RegistryUnavailable,
    Unknown,
)
from modelhost.registry.base import Registry, Status
from modelhost.registry.directory import DirectoryRegistry
from modelhost.registry.remote import RemoteRegistry
from modelhost.registry.upload import publish_remote
from modelhost.registry.verify import check_files
from tests.modelhost.registry.material import AT_EVERY_CALL, metadata, script, weights
from tests.modelhost.registry.places import Place


@pytest.fixture(params=["mounted", "memory", "s3"])
def place(request: pytest.FixtureRequest) -> Place:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.fixture(params=["mounted", "memory"])
def nearby(request: pytest.FixtureRequest) -> Place:
    """For what does not depend on how the remote is spoken to."""
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.fixture(params=["memory", "s3"])
def store(request: pytest.FixtureRequest) -> Place:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def fill(place: Place, tmp_path: Path, *versions: str) -> RemoteRegistry:
    """A registry with these versions, all stable but the last."""
    registry = place.registry(tmp_path / "publisher")
    for version in versions:
        source = weights(tmp_path / f"source-{version}", f"weights {version}")
        assert publish_remote(registry, source, metadata(version=version), who="anna").fresh
    for version in versions[:-1]:
        registry.mark("model", version, Status.STABLE, "anna", "measured")
    return registry


@pytest.mark.parametrize("endpoint", ["AWS_ENDPOINT_URL", "FSSPEC_S3_ENDPOINT_URL"])
def test_keys_and_endpoint_of_a_bucket_come_from_the_environment(
    s3: Place, s3_server: str, tmp_path: Path, cache: Path, endpoint: str
) -> None:
    fill(s3, tmp_path, "1.0.0", "1.1.0")
    code = """
    from modelhost.registry.remote import RemoteRegistry
    print(RemoteRegistry(sys.argv[2], sys.argv[3]).find("model").version)
    """
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    with script(code, s3.url, cache, env={**os.environ, **keys, endpoint: s3_server}) as reader:
        said, wrong = reader.communicate(timeout=120)
    assert said == "1.0.0\n", wrong


def test_it_answers_as_a_registry_does(place: Place, tmp_path: Path, cache: Path) -> None:
    fill(place, tmp_path, "1.9.0", "1.10.0", "2.0.0")
    registry: Registry = place.registry(cache)

    assert registry.components() == ["model"]
    assert [(entry.version, entry.status.value) for entry in registry.versions("model")] == [
        ("2.0.0", "unstable"),
        ("1.10.0", "stable"),
        ("1.9.0", "stable"),
    ]
    assert registry.find("model").version == "1.10.0"
    registry.mark("model", "v1.10.0", Status.REJECTED, "ben", "wrong digits")
    assert registry.find("model").version == "1.9.0"
    assert [(change.version, change.status.value, change.who) for change in registry.log("model")][-3:] == [
        ("1.9.0", "stable", "anna"),
        ("1.10.0", "stable", "anna"),
        ("1.10.0", "rejected", "ben"),
    ]
    registry.mark("model", "1.9.0", Status.REJECTED, "ben", "wrong too")
    with pytest.raises(NothingStable):
        registry.find("model")
    with pytest.raises(Unknown, match=r"there is .*1\.10\.0"):
        registry.find("model", "9.9.9")
    with pytest.raises(Unknown, match="there is model"):
        registry.versions("tokenizer")


def test_a_version_is_pulled_whole_verified_and_read_only(place: Place, tmp_path: Path, cache: Path) -> None:
    fill(place, tmp_path, "1.0.0", "1.1.0")
    entry = place.registry(cache).find("model")

    assert entry.path == cache / "model" / "1.0.0"
    check_files(entry, full=True)
    assert (entry.path / "config.json").read_text() == '{"is": "weights 1.0.0"}'
    assert not (entry.path / "model.safetensors").stat().st_mode & 0o222
    assert not (cache / "model" / "1.1.0").exists()
    assert DirectoryRegistry(cache).find("model") == entry


def test_a_pulled_version_is_not_pulled_again(
    nearby: Place, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(nearby, tmp_path, "1.0.0", "1.1.0")
    nearby.registry(cache).find("model")
    registry = nearby.registry(cache)
    monkeypatch.setattr(registry.origin, "fetch", None)
    assert registry.find("model").version == "1.0.0"


def test_without_the_remote_the_cache_serves_on(place: Place, tmp_path: Path, cache: Path) -> None:
    fill(place, tmp_path, "1.0.0", "1.1.0")
    entry = place.registry(cache).find("model")
    place.stop()
    registry = place.registry(cache)

    assert registry.find("model") == entry
    assert registry.find("model", "1.0.0") == entry
    assert registry.components() == ["model"]
    assert [one.version for one in registry.versions("model")] == ["1.0.0"]
    assert registry.log("model")[-1].why == "measured"
    with pytest.raises(RegistryUnavailable):
        registry.find("model", "1.1.0")
    with pytest.raises(RegistryUnavailable):
        registry.find("tokenizer")
    with pytest.raises(RegistryUnavailable):
        registry.mark("model", "1.0.0", Status.REJECTED, "ben", "wrong")


def test_a_rejection_that_was_seen_is_remembered_without_the_remote(nearby: Place, tmp_path: Path, cache: Path) -> None:
    fill(nearby, tmp_path, "1.0.0", "1.1.0", "1.2.0")
    slow, quick = nearby.registry(cache), nearby.registry(cache)
    quick.find("model", "1.0.0")
    quick.find("model")
    before = slow.log("model")
    quick.mark("model", "1.1.0", Status.REJECTED, "ben", "wrong digits")
    slow._store(cache / "model", before)  # Written late, what it had read before.
    nearby.stop()
    assert nearby.registry(cache).find("model").version == "1.0.0"


def test_after_a_failure_nobody_waits_for_the_remote_until_the_pause_is_over(
    memory: Place, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(memory, tmp_path, "1.0.0", "1.1.0")
    now = [0.0]
    registry = memory.registry(cache, monotonic=lambda: now[0])
    registry.find("model")
    with monkeypatch.context() as broken:
        broken.setattr(registry.origin, "changes", lambda _: (_ for _ in ()).throw(RegistryUnavailable("away")))
        assert registry.find("model").version == "1.0.0"
    registry.mark("model", "1.1.0", Status.STABLE, "ben", "better")
    now[0] += 4
    with pytest.raises(RegistryUnavailable) as unavailable:
        registry.find("model", "1.1.0")
    assert 0 < unavailable.value.retry_after <= 1
    now[0] += 2
    assert registry.find("model").version == "1.1.0"


def test_where_nothing_lies_there_is_no_registry(nearby: Place, cache: Path) -> None:
    for ask in (lambda r: r.components(), lambda r: r.find("model"), lambda r: r.versions("model")):
        with pytest.raises(RegistryUnavailable, match="no registry at"):
            ask(nearby.registry(cache))


def test_what_came_damaged_never_enters_the_cache(place: Place, tmp_path: Path, cache: Path) -> None:
    damaged = b"weights cut"
    fill(place, tmp_path, "1.0.0", "1.1.0")
    info = place.registry(cache).versions("model")[1].info
    weights_file = next(file for file in info.files if file.path == "model.safetensors")
    key = next(key for key in place.names() if key.endswith((weights_file.sha256, "1.0.0/model.safetensors")))
    place.write(key, damaged)

    registry = place.registry(cache)
    with pytest.raises(IntegrityError, match=rf"model\.safetensors is cut to {len(damaged)} of {weights_file.bytes}"):
        registry.find("model")
    assert [path.name for path in (cache / "model").iterdir() if path.is_dir()] == []


def test_a_file_that_is_gone_is_an_integrity_error(memory: Place, tmp_path: Path, cache: Path) -> None:
    import fsspec

    fill(memory, tmp_path, "1.0.0", "1.1.0")
    system, base = fsspec.core.url_to_fs(memory.url, **memory.options)
    key = next(key for key in memory.names() if "/content/" in key and "1.0.0" in key)
    system.rm_file(f"{base}/{key}")
    with pytest.raises(IntegrityError, match="not all of its files"):
        memory.registry(cache).find("model")


def test_a_cache_of_another_registry_is_noticed(nearby: Place, tmp_path: Path, cache: Path) -> None:
    fill(nearby, tmp_path, "1.0.0", "1.1.0")
    from modelhost.registry.publish import publish

    publish(cache, weights(tmp_path / "other", "others"), metadata(), who="eve")
    with pytest.raises(IntegrityError, match=r"another model 1\.0\.0"):
        nearby.registry(cache).find("model", "1.0.0")


def test_a_discarded_copy_is_pulled_anew(nearby: Place, tmp_path: Path, cache: Path) -> None:
    fill(nearby, tmp_path, "1.0.0", "1.1.0")
    registry = nearby.registry(cache)
    entry = registry.find("model")
    registry.discard("model", "1.0.0")
    assert not entry.path.exists()
    check_files(registry.find("model"))


def test_publishing_refuses_and_repeats_as_in_a_directory(place: Place, tmp_path: Path) -> None:
    registry = fill(place, tmp_path, "1.0.0")
    source = tmp_path / "source-1.0.0"

    assert not publish_remote(registry, source, metadata(), who="ben").fresh
    with pytest.raises(Conflict, match="difference in note"):
        publish_remote(registry, source, metadata(note="other"), who="ben")
    with pytest.raises(IncompleteMetadata, match="metrics: "):
        publish_remote(registry, source, {"component": "model", "version": "2.0.0"}, who="ben")
    assert len(registry.log("model")) == 1


def test_a_mate_is_published_by_its_number_there(place: Place, tmp_path: Path) -> None:
    registry = fill(place, tmp_path, "1.0.0", "2.0.0")
    source, named = tmp_path / "source-1.0.0", {"component": "decoder", "mates": {"model": "1.0.0"}}
    with pytest.raises(IncompleteMetadata, match=r"which has 2\.0\.0, 1\.0\.0"):
        publish_remote(registry, source, metadata(component="decoder", mates={"model": "3.0.0"}), who="ben")
    done = publish_remote(registry, source, metadata(**named), who="ben")
    assert done.fresh and done.entry.info.mates == {"model": registry.find("model", "1.0.0").info.digest}


def test_a_publication_that_broke_off_is_no_version_and_can_be_repeated(store: Place, tmp_path: Path) -> None:
    registry = fill(store, tmp_path, "1.0.0")
    source = weights(tmp_path / "next", "next")
    bucket = registry.origin._bucket  # type: ignore[attr-defined]
    create = bucket.create
    bucket.create = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        publish_remote(registry, source, metadata(version="1.1.0"), who="anna")

    assert any(key.startswith("model/1.1.0/content/") for key in store.names())
    assert [entry.version for entry in registry.versions("model")] == ["1.0.0"]
    with pytest.raises(Unknown):
        registry.find("model", "1.1.0")
    bucket.create = create
    assert publish_remote(registry, source, metadata(version="1.1.0"), who="anna").fresh
    check_files(registry.find("model", "1.1.0"), full=True)


def test_who_comes_second_to_the_store_loses_and_mixes_nothing(store: Place, tmp_path: Path, cache: Path) -> None:
    first, second = store.registry(tmp_path / "first"), store.registry(tmp_path / "second")
    deposit = second.origin.deposit  # type: ignore[attr-defined]

    def late(*given: Any) -> bool:
        """The first one publishes between the second one's question and its deposit."""
        publish_remote(first, weights(tmp_path / "one", "one"), metadata(), who="first")
        return bool(deposit(*given))

    second.origin.deposit = late  # type: ignore[attr-defined]
    with pytest.raises(Conflict):
        publish_remote(second, weights(tmp_path / "two", "two"), metadata(), who="second")
    entry = store.registry(cache).find("model", "1.0.0")
    check_files(entry, full=True)
    assert json.loads((entry.path / "config.json").read_text())["is"] == "one"


def test_a_registry_directory_copied_up_by_hand_is_a_registry(store: Place, tmp_path: Path, cache: Path) -> None:
    from modelhost.registry.publish import publish

    folder = tmp_path / "local"
    publish(folder, weights(tmp_path / "source"), metadata(), who="anna")
    DirectoryRegistry(folder).mark("model", "1.0.0", Status.STABLE, "anna", "measured")
    for path in folder.rglob("*"):
        if path.is_file():
            store.write(path.relative_to(folder).as_posix(), path.read_bytes())

    registry = store.registry(cache)
    check_files(registry.find("model"), full=True)
    registry.mark("model", "1.0.0", Status.REJECTED, "ben", "later")
    assert [change.status.value for change in registry.log("model")] == ["unstable", "stable", "rejected"]


def test_changes_keep_their_order_where_a_clock_is_behind(memory: Place, tmp_path: Path, cache: Path) -> None:
    fill(memory, tmp_path, "1.0.0", "1.1.0")
    slow = memory.registry(cache, clock=lambda: datetime(2020, 1, 1, tzinfo=UTC))
    slow.mark("model", "1.0.0", Status.REJECTED, "ben", "last")
    assert memory.registry(tmp_path / "fresh").log("model")[-1].why == "last"


PULLER = """
    from modelhost.registry.remote import RemoteRegistry
    from modelhost.registry.mounted import Mounted
    fetch = Mounted.fetch
    def counted(self, info, folder):
        print("fetched", flush=True)
        fetch(self, info, folder)
    Mounted.fetch = counted
    RemoteRegistry(sys.argv[2], sys.argv[3]).find("model")
"""


def test_of_many_processes_one_pulls_and_the_others_wait(mounted: Place, tmp_path: Path, cache: Path) -> None:
    fill(mounted, tmp_path, "1.0.0", "1.1.0")
    processes = [script(PULLER, mounted.url, cache) for _ in range(3)]
    outputs = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0] * 3, outputs
    assert "".join(output for output, _ in outputs) == "fetched\n"


def test_a_store_without_exclusive_creation_is_not_published_to(
    memory: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = memory.registry(tmp_path / "cache")
    monkeypatch.setattr(registry.origin._bucket, "exclusive", False)  # type: ignore[attr-defined]
    with pytest.raises(Refused, match="somebody else publishes"):
        publish_remote(registry, weights(tmp_path / "source"), metadata(), who="anna")
    assert memory.names() == []


def test_an_address_that_cannot_be_used_says_what_to_write(cache: Path) -> None:
    for url in ("nosuch://bucket/models", "models", "file://host/models"):
        with pytest.raises(ConfigError):
            RemoteRegistry(url, cache)


KILLED = (
    AT_EVERY_CALL
    + """
    import json
    from modelhost.registry.directory import DirectoryRegistry
    from modelhost.registry.remote import RemoteRegistry
    from modelhost.registry.verify import check_files

    url, cache = sys.argv[2:]
    seen = set()

    def look(call):
        try:
            entries = DirectoryRegistry(cache).versions("model")
        except Exception as error:  # Nothing there yet.
            entries = []
        for entry in entries:
            check_files(entry, full=True)
        seen.add(len(entries))

    killed_at_every_call(lambda: RemoteRegistry(url, cache).find("model"), look)
    print(json.dumps(sorted(seen)))
"""
)


def test_a_kill_while_pulling_leaves_only_whole_copies(mounted: Place, tmp_path: Path, cache: Path) -> None:
    fill(mounted, tmp_path, "1.0.0", "1.1.0")
    process = script(KILLED, mounted.url, cache)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    killed, seen = output.splitlines()
    assert int(killed) > 30
    assert json.loads(seen) == [0, 1]
    # What they left is swept by the next one that brings a version.
    mounted.registry(cache).find("model", "1.1.0")
    assert {path.name for path in (cache / "model").glob(".*")} == {".lock"}
