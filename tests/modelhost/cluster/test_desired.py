"""One writer of a state alone succeeds, in a directory and on an object store; what a killed one leaves is whole."""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from modelhost.cluster.desired import Desired, DesiredLog
from modelhost.cluster.place import Place, place_at
from modelhost.errors import ConfigError, Conflict, IntegrityError, RegistryUnavailable
from tests.modelhost.registry.material import AT_EVERY_CALL, script
from tests.modelhost.registry.places import s3_endpoint

AT = datetime(2026, 1, 1, tzinfo=UTC)
SET = {"model": "1.0.0"}


@pytest.fixture(params=["directory", "objects"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "directory":
        yield place_at(tmp_path, "translator")
        return
    if request.param == "s3":
        yield from _bucket()
        return
    import fsspec  # type: ignore[import-untyped]

    url = f"memory://{uuid.uuid4().hex}/models"
    yield place_at(url, "translator")
    system = fsspec.filesystem("memory")
    system.rm(url.removeprefix("memory:/").removesuffix("/models"), recursive=True)


def _bucket() -> Iterator[Place]:
    import fsspec

    with s3_endpoint() as url:
        options = {"key": "key", "secret": "secret", "client_kwargs": {"endpoint_url": url}}
        bucket = f"bucket-{uuid.uuid4().hex}"
        fsspec.filesystem("s3", use_listings_cache=False, **options).mkdir(bucket)
        yield place_at(f"s3://{bucket}/models", "translator", options)


@pytest.mark.parametrize("place", ["directory", "objects", "s3"], indirect=True)
def test_of_many_who_change_it_at_once_one_succeeds_and_the_others_are_told(place: Place) -> None:
    threads, rounds = 4, 5
    for number in range(rounds):
        start = threading.Barrier(threads)
        read = DesiredLog(place).read()

        def change(who: str, read: Desired = read, start: threading.Barrier = start) -> str:
            start.wait()
            try:
                DesiredLog(place).write(read.go_back(SET, {}, who, "raced", AT))
            except Conflict:
                return ""
            return who

        with ThreadPoolExecutor(threads) as pool:
            winners = [who for who in pool.map(change, "abcd") if who]
        now = DesiredLog(place).read()
        assert len(winners) == 1
        assert now.committed is not None and [now.committed.who] == winners
        assert now.revision == number + 1
    place.put("members/a.json", b"1")
    place.put("members/a.json", b"2")
    assert (place.names("members"), place.read("members/a.json")) == (["a.json"], b"2")
    place.remove("members/a.json")
    place.remove("members/a.json")
    assert (place.names("members"), place.read("members/a.json")) == ([], None)


def test_a_generation_is_one_set_for_ever(place: Place) -> None:
    log = DesiredLog(place)
    first = log.read().propose(SET, "ann", "first", AT, 1.0)
    log.write(first)
    log.write(log.read().abort("bob", "no", AT))
    second = log.read().propose(SET, "ann", "again", AT, 1.0)
    log.write(second)
    log.write(log.read().commit(AT))
    now = log.read()
    assert (now.committed and now.committed.generation, now.proposal) == (2, None)
    assert now.aborted is not None and (now.aborted.generation, now.aborted.reason) == (1, "no")
    with pytest.raises(Conflict, match="ann switches to generation 3"):
        now.propose(SET, "ann", "x", AT, 1.0).propose(SET, "bob", "y", AT, 1.0)


def test_who_read_long_ago_changes_nothing_although_the_number_is_free_again(place: Place) -> None:
    log = DesiredLog(place)
    log.write(log.read().go_back(SET, {}, "ann", "1", AT))
    old = log.read()
    for number in range(220):
        log.write(log.read().go_back(SET, {}, "ann", str(number), AT))
    assert len(place.names("desired")) <= 201
    with pytest.raises(Conflict):
        log.write(old.go_back(SET, {}, "eve", "late", AT))
    now = log.read().committed
    assert now is not None and now.why == "219"
    assert place.names("desired")[0] > "000000000002.json"


def test_a_file_that_is_not_whole_is_passed_over_and_the_next_state_comes_above_it(place: Place) -> None:
    log = DesiredLog(place)
    log.write(log.read().go_back(SET, {}, "ann", "good", AT))
    place.put("desired/000000000002.json", b'{"revision": 2, "comm')
    found = log.read()
    assert found.committed is not None and found.committed.why == "good"
    log.write(found.go_back({"model": "2.0.0"}, {}, "ann", "better", AT))
    assert log.read().revision == 3
    place.remove("desired/000000000001.json")
    place.remove("desired/000000000003.json")
    with pytest.raises(IntegrityError):
        log.read()


def test_a_writer_whose_answer_is_lost_learns_that_it_has_written(tmp_path: Path) -> None:
    class Deaf:
        """Does what it is told, and says that it could not."""

        def __init__(self) -> None:
            self.inner = place_at(tmp_path, "translator")
            self.url, self.read, self.names = self.inner.url, self.inner.read, self.inner.names
            self.put, self.remove = self.inner.put, self.inner.remove

        def create(self, key: str, data: bytes) -> bool:
            self.inner.create(key, data)
            raise RegistryUnavailable("the answer was lost")

    log = DesiredLog(Deaf())
    log.write(log.read().go_back(SET, {}, "ann", "heard", AT))
    now = log.read().committed
    assert now is not None and now.why == "heard"


def test_a_writer_killed_at_any_moment_leaves_the_old_state_or_the_new_one(tmp_path: Path) -> None:
    code = (
        AT_EVERY_CALL
        + """
    from datetime import UTC, datetime
    from pathlib import Path
    from modelhost.cluster.desired import DesiredLog
    from modelhost.cluster.place import DirectoryPlace

    CALLS.add("os.link")
    log = DesiredLog(DirectoryPlace(Path(sys.argv[2]), "translator"))
    log.write(log.read().go_back({"model": "1.0.0"}, {}, "ann", "base", datetime.now(UTC)))
    seen = []
    base = log.read()

    def change():
        log.write(base.go_back({"model": "2.0.0"}, {}, "ann", "new", datetime.now(UTC)))

    def after(number):
        global base
        found = log.read()
        seen.append(found.committed.why if found.revision > base.revision else "old")
        log.write(found.go_back({"model": "1.0.0"}, {}, "ann", "base", datetime.now(UTC)))
        base = log.read()

    killed_at_every_call(change, after)
    print(" ".join(seen))
    """
    )
    process = script(code, tmp_path)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    killed, seen = output.splitlines()
    assert int(killed) >= 5 and set(seen.split()) == {"old", "new"}, "before and after the moment that counts"


def test_a_place_never_makes_the_registry_that_is_not_there(tmp_path: Path) -> None:
    place = place_at(tmp_path / "models", "translator")
    for attempt in (
        lambda: place.put("members/a.json", b""),
        lambda: place.create("desired/a.json", b""),
        lambda: place.names("members"),
        lambda: place.read("members/a.json"),
    ):
        with pytest.raises(RegistryUnavailable, match="models"):
            attempt()
    assert not (tmp_path / "models").exists()


def test_nor_does_one_that_knew_it_write_to_what_is_mounted_in_its_place(tmp_path: Path) -> None:
    """Whoever writes has looked a moment before: the registry may be away since."""
    root = tmp_path / "models"
    root.mkdir()
    place = place_at(root, "translator")
    place.put("members/a.json", b"1")
    away = root.rename(tmp_path / "away")
    root.mkdir()
    for attempt in (lambda: place.put("members/a.json", b"2"), lambda: place.create("desired/a.json", b"2")):
        with pytest.raises(RegistryUnavailable, match=r"members|desired"):
            attempt()
    assert list(root.iterdir()) == []
    root.rmdir()
    away.rename(root)
    assert place.create("desired/a.json", b"2"), "a folder of it that nobody needed before is made"


def test_two_services_on_one_registry_do_not_follow_each_other_and_neither_is_a_component(tmp_path: Path) -> None:
    from modelhost.registry.directory import DirectoryRegistry

    DesiredLog(place_at(tmp_path, "translator")).write(Desired().go_back(SET, {}, "ann", "x", AT))
    assert DesiredLog(place_at(tmp_path.as_uri(), "summary")).read() == Desired()
    assert DesiredLog(place_at(tmp_path.as_uri(), "translator")).read().revision == 1
    assert DirectoryRegistry(tmp_path).components() == []


@pytest.mark.parametrize("way", ["create", "put"])
def test_what_killed_writers_left_is_swept_when_it_is_old(way: str, tmp_path: Path) -> None:
    place = place_at(tmp_path, "translator")
    write = getattr(place, way)
    write("desired/a.json", b"x")
    folder = tmp_path / ".cluster" / "translator" / "desired"
    for name in (".new-old", ".new-fresh"):
        (folder / name).write_text("left")
    os.utime(folder / ".new-old", (1, 1))
    write("desired/b.json", b"x")
    assert sorted(each.name for each in folder.iterdir()) == [".new-fresh", "a.json", "b.json"]
    assert place.names("desired") == ["a.json", "b.json"]


def test_a_store_on_which_two_could_win_and_a_name_that_leads_out_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two writers"):
        place_at("ftp://host/models", "translator")
    with pytest.raises(ConfigError, match="name of a group"):
        place_at(tmp_path, "../else")


def test_a_state_is_a_file_that_people_can_read(tmp_path: Path) -> None:
    log = DesiredLog(place_at(tmp_path, "translator"))
    log.write(log.read().go_back(SET, {"model": "2.0.0"}, "ann", "worse", AT))
    path = tmp_path / ".cluster" / "translator" / "desired" / "000000000001.json"
    plain = json.loads(path.read_text())["committed"]
    assert (plain["versions"], plain["rejected"], plain["who"], plain["why"]) == (
        SET,
        {"model": "2.0.0"},
        "ann",
        "worse",
    )
