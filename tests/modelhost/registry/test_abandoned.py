"""What killed publishers left on an object store is swept once it is old; whoever publishes is never harmed by that."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from modelhost.registry.retention import Named
from modelhost.registry.upload import publish_remote
from modelhost.registry.verify import check_files
from tests.modelhost.registry.leftovers import LEFT, below, broken_off, collected
from tests.modelhost.registry.material import metadata, weights
from tests.modelhost.registry.places import Place


@pytest.fixture(params=["memory", "s3"])
def store(request: pytest.FixtureRequest) -> Place:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return weights(tmp_path / "next", "next")


def test_files_of_a_number_that_was_never_published_go_after_a_day_and_it_is_said_why(
    store: Place, tmp_path: Path, source: Path
) -> None:
    broken_off(store, tmp_path, source)
    before = store.names()
    would = collected(store, tmp_path / "gc", dry_run=True).swept
    assert store.names() == before
    done = collected(store, tmp_path / "gc")
    assert done.swept == would and done.removed == []
    assert re.fullmatch(
        r"model/1\.1\.0: brought up in part and never published, 3 files, 0\.0 MB, the last on .* UTC", *would
    )
    assert store.names() == [key for key in before if not key.startswith(LEFT)]
    check_files(store.registry(tmp_path / "newcomer").find("model", "1.0.0"), full=True)
    assert collected(store, tmp_path / "gc").swept == []


def test_what_came_within_the_grace_is_not_touched(store: Place, tmp_path: Path, source: Path) -> None:
    broken_off(store, tmp_path, source)
    before = store.names()
    assert collected(store, tmp_path / "gc", days=0.9).swept == []
    assert collected(store, tmp_path / "gc", abandoned_after=timedelta(days=3)).swept == []
    assert store.names() == before
    assert len(collected(store, tmp_path / "gc", days=0.9, abandoned_after=timedelta(hours=12)).swept) == 1


def test_one_young_object_keeps_the_old_ones(memory: Place, tmp_path: Path, source: Path) -> None:
    import fsspec

    broken_off(memory, tmp_path, source)
    system, base = fsspec.core.url_to_fs(memory.url)
    *others, _ = below(memory, LEFT)
    for key in others:
        system.store[f"{base}/{key}"].created -= timedelta(days=2)
    assert collected(memory, tmp_path / "gc", days=0).swept == []
    assert len(below(memory, LEFT)) == len(others) + 1


def test_what_is_in_use_pinned_or_was_a_version_once_is_left_alone(store: Place, tmp_path: Path, source: Path) -> None:
    registry = broken_off(store, tmp_path, source)
    before = store.names()
    name = [Named("model", "1.1.0")]
    assert collected(store, tmp_path / "gc", in_use=name).swept == []
    assert collected(store, tmp_path / "gc", pinned=name).swept == []
    assert store.names() == before
    # A hand took the version.json of 1.0.0 away: its files may be all there is of it.
    registry.origin.bucket.remove("model/1.0.0/version.json")  # type: ignore[attr-defined]
    assert len(collected(store, tmp_path / "gc").swept) == 1
    assert len(below(store, "model/1.0.0/")) == 3


def test_a_swept_number_can_be_published(store: Place, tmp_path: Path, source: Path) -> None:
    registry = broken_off(store, tmp_path, source)
    collected(store, tmp_path / "gc")
    assert publish_remote(registry, source, metadata(version="1.1.0"), who="anna").fresh
    check_files(store.registry(tmp_path / "newcomer").find("model", "1.1.0"), full=True)
    assert {key.split("/")[2] for key in below(store, LEFT)} == {"content", "version.json"}
