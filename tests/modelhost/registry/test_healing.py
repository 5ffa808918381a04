"""Copies of a registry elsewhere that are damaged after they came: pulled again by whoever finds them so, refused only
where that cannot help."""

from __future__ import annotations

import logging
import mmap
import re
from pathlib import Path

import pytest

from modelhost.errors import IntegrityError
from modelhost.loading.checks import Integrity
from modelhost.registry.directory import DirectoryRegistry
from modelhost.registry.durable import remove
from modelhost.registry.upload import publish_remote
from modelhost.registry.verify import check_files, damage
from tests.modelhost.registry.copies import DAMAGES, WEIGHTS, become_a_file, cut, pulled, rot
from tests.modelhost.registry.material import Publish, metadata, weights
from tests.modelhost.registry.places import Place


@pytest.fixture(params=["mounted", "memory", "s3"])
def place(request: pytest.FixtureRequest) -> Place:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture(params=["mounted", "memory"])
def nearby(request: pytest.FixtureRequest) -> Place:
    """For what does not depend on how the remote is spoken to."""
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_copy_is_pulled_again_by_who_finds_it_and_a_line_says_what_differed(
    nearby: Place, tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    registry, entry = pulled(nearby, tmp_path)
    harm, differs = DAMAGES[how]
    harm(entry.path)

    with caplog.at_level(logging.WARNING, "modelhost"):
        Integrity()(registry.find("model"))
    lines = [each.getMessage() for each in caplog.records if each.name.startswith("modelhost")]
    assert len(lines) == 1 and lines[0].startswith("healed: the copy of model 1.0.0"), lines
    assert re.search(differs, lines[0]) and registry.origin.url in lines[0]
    assert damage(entry.path, entry.info, full=True) == []
    assert DirectoryRegistry(registry.cache.root).find("model").info == entry.info
    assert {path.name for path in entry.path.parent.glob(".*")} == {".lock"}


def test_what_was_no_directory_any_more_is_pulled_again(place: Place, tmp_path: Path) -> None:
    registry, entry = pulled(place, tmp_path)
    become_a_file(entry.path)
    check_files(registry.find("model"), full=True)


def test_what_sha256_alone_finds_is_healed_and_what_xxh3_calls_whole_is_not_believed(
    memory: Place, tmp_path: Path
) -> None:
    _, entry = pulled(memory, tmp_path)
    content = (entry.path / WEIGHTS).read_bytes()
    found = [f"{WEIGHTS} was changed"]
    assert entry.heal is not None
    entry.heal(found, False)  # whole by both: nothing was to be done
    inode = entry.path.stat().st_ino
    rot(entry.path)
    entry.heal(found, True)
    assert entry.path.stat().st_ino != inode and (entry.path / WEIGHTS).read_bytes() == content


def test_who_has_the_damaged_copy_mapped_keeps_reading_it(memory: Place, tmp_path: Path) -> None:
    _, entry = pulled(memory, tmp_path)
    rot(entry.path)
    damaged = (entry.path / WEIGHTS).read_bytes()
    with (entry.path / WEIGHTS).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        check_files(entry)
        assert (entry.path / WEIGHTS).read_bytes() != damaged
        assert mapped[:] == damaged


def test_where_the_remote_is_damaged_too_that_is_said_and_nothing_half_stays(place: Place, tmp_path: Path) -> None:
    registry, entry = pulled(place, tmp_path)
    digest = next(file.sha256 for file in entry.info.files if file.path == WEIGHTS)
    key = next(key for key in place.names() if key.endswith((digest, f"1.0.0/{WEIGHTS}")))
    place.write(key, b"cut there")
    check_files(entry)  # what is whole here needs nothing from there
    rot(entry.path)

    with pytest.raises(IntegrityError) as refused:
        Integrity()(registry.find("model"))
    assert re.search(
        rf"copy of model 1\.0\.0 in the cache is damaged: {WEIGHTS} was changed; "
        rf"and what lies at .* is damaged as well: .*{WEIGHTS} is cut to 9 of",
        refused.value.message,
    )
    assert {path.name for path in entry.path.parent.glob(".*")} == {".lock"}
    with pytest.raises(IntegrityError, match="damaged as well"):
        check_files(registry.find("model"))


@pytest.mark.parametrize("how", DAMAGES)
def test_out_of_reach_it_is_refused_with_what_differs_and_healed_once_the_remote_is_back(
    mounted: Place, tmp_path: Path, how: str
) -> None:
    now = [0.0]
    registry, entry = pulled(mounted, tmp_path, monotonic=lambda: now[0])
    harm, differs = DAMAGES[how]
    mounted.stop()
    harm(entry.path)
    integrity = Integrity()
    if how == "a rotten description":  # which only the remote knows to be one
        integrity(registry.find("model", "1.0.0"))
    else:
        for _ in range(2):
            with pytest.raises(IntegrityError, match=rf"{differs}.*; and the registry cannot be reached: ") as refused:
                integrity(registry.find("model", "1.0.0"))
            assert "pulled again by itself" in refused.value.hint
    (tmp_path / "unmounted").rename(tmp_path / "mounted")
    now[0] += 60
    integrity(registry.find("model", "1.0.0"))
    assert damage(entry.path, entry.info, full=True) == []
    assert registry.cache.find("model", "1.0.0").info == entry.info


def test_a_version_that_is_no_more_at_the_remote_cannot_be_healed(mounted: Place, tmp_path: Path) -> None:
    _, entry = pulled(mounted, tmp_path)
    rot(entry.path)
    remove(tmp_path / "mounted" / "model" / "1.0.0")
    with pytest.raises(IntegrityError, match=f"{WEIGHTS} was changed; and .* has it no more"):
        check_files(entry)


def test_another_registrys_whole_copy_is_refused_and_left_alone(mounted: Place, tmp_path: Path, cache: Path) -> None:
    registry, entry = pulled(mounted, tmp_path)
    other = place_of_another(tmp_path)
    with pytest.raises(IntegrityError, match=r"another model 1\.0\.0"):
        other.registry(cache).find("model", "1.0.0")
    check_files(registry.find("model"), full=True)
    rot(entry.path)  # of no use to anybody by now
    check_files(other.registry(cache).find("model", "1.0.0"), full=True)


def place_of_another(tmp_path: Path) -> Place:
    place = Place((tmp_path / "elsewhere").as_uri())
    publisher = place.registry(tmp_path / "other publisher")
    publish_remote(publisher, weights(tmp_path / "other", "others"), metadata(), who="eve")
    return place


def test_a_registry_that_is_a_directory_has_nothing_to_heal_from(root: Path, published: Publish) -> None:
    entry = published("1.0.0")
    cut(entry.path)
    for _ in range(2):
        with pytest.raises(IntegrityError, match=f"{WEIGHTS} is cut.*: restore the files in"):
            Integrity()(DirectoryRegistry(root).find("model", "1.0.0"))
