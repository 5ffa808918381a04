"""A registry as the toolkit asks it, in a directory and on an object store, and what its refusals become."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from modelhost.cluster.desired import DesiredLog
from modelhost.cluster.place import place_at
from release.errors import ModelsError, Refused, UsageError
from release.models.registry import ModelRegistry
from tests.support.versions import Publish, damaged, metadata, weights

At = Callable[[object], ModelRegistry]


def written(where: str, version: str) -> None:
    """A cluster that is to serve this version keeps that here."""
    log = DesiredLog(place_at(where, "shop"))
    log.write(log.read().found({"translator": version}, "ann", "first", datetime.now(UTC)))


def test_latest_is_the_newest_stable_version(at: At, root: Path, published: Publish) -> None:
    published("1.0.0", status="stable")
    published("1.1.0", status="stable")
    published("1.2.0")
    found = [(one.version, one.status, one.latest) for one in at(root).versions("translator")]
    assert found == [("1.2.0", "unstable", False), ("1.1.0", "stable", True), ("1.0.0", "stable", False)]
    assert at(root).stable("translator") == ["1.1.0", "1.0.0"]


def test_where_nothing_is_stable_there_is_no_latest(at: At, root: Path, published: Publish) -> None:
    published("1.0.0")
    assert at(root).stable("translator") == []
    with pytest.raises(Refused, match="no version of translator is stable"):
        at(root).describe("translator")


def test_a_broken_version_is_told_and_no_older_one_takes_its_place_as_latest(
    at: At, root: Path, published: Publish, told: list[str]
) -> None:
    published("1.0.0", status="stable")
    broken = published("1.1.0", status="stable").path
    broken.chmod(0o755)
    (broken / "version.json").unlink()
    assert [(one.version, one.latest) for one in at(root).versions()] == [("1.0.0", False)]
    assert at(root).stable("translator") == ["1.1.0", "1.0.0"]
    assert any("1.1.0" in text for text in told)


def test_a_version_is_described_with_who_changed_its_status_and_why(at: At, root: Path, published: Publish) -> None:
    published("1.0.0", status="stable")
    published("1.1.0")
    found = at(root).describe("translator", "v1.0.0")
    assert found.says["preprocessing"] == "sentencepiece/1"
    assert [(change.status, change.who) for change in found.log] == [("unstable", "anna"), ("stable", "anna")]


@pytest.mark.parametrize(
    ("component", "version"), [("nobody", "1.0.0"), ("translator", "9.9.9"), ("translator", "new")]
)
def test_what_is_not_there_is_a_wrong_name_and_the_hint_lists_what_is(
    at: At, root: Path, published: Publish, component: str, version: str
) -> None:
    published("1.0.0")
    with pytest.raises(UsageError) as refusal:
        at(root).describe(component, version)
    assert "there is" in (refusal.value.hint or "")


def test_no_registry_at_all_is_something_unusable(at: At, tmp_path: Path) -> None:
    with pytest.raises(ModelsError, match="no registry at"):
        at(tmp_path / "nowhere").versions()


def test_a_url_that_nobody_can_open_is_a_wrong_argument(at: At) -> None:
    with pytest.raises(UsageError, match="cannot be used"):
        at("gopher://models")


def test_what_lacks_in_the_metadata_is_refused_by_name(at: At, root: Path, tmp_path: Path) -> None:
    folder = weights(tmp_path / "new", "weights")
    with pytest.raises(Refused, match=r"(?s)note: what changed.*interface: inputs and outputs"):
        at(root).publish(folder, {"component": "translator", "version": "1.0.0"}, "anna", ())


def test_publishing_again_changes_nothing_and_other_weights_are_refused(at: At, root: Path, tmp_path: Path) -> None:
    folder = weights(tmp_path / "new", "weights")
    version, fresh = at(root).publish(folder, metadata(), "anna", ())
    assert (version.version, version.status, fresh) == ("1.0.0", "unstable", True)
    assert at(root).publish(folder, metadata(), "anna", ())[1] is False
    (folder / "model.safetensors").write_bytes(b"others")
    with pytest.raises(Refused, match="was published before"):
        at(root).publish(folder, metadata(), "anna", ())


def test_a_changed_file_is_found_fast_and_in_full(at: At, root: Path, published: Publish) -> None:
    published("1.0.0")
    damaged(published("1.1.0").path)
    for full in (False, True):
        found = {one.version: one.problems for one in at(root).verify("translator", full)}
        assert found == {"1.1.0": ("model.safetensors was changed",), "1.0.0": ()}


def test_what_is_damaged_does_not_pass_the_check_before_a_promotion(at: At, root: Path, published: Publish) -> None:
    damaged(published("1.0.0").path)
    with pytest.raises(Refused, match=r"not as it was published: model\.safetensors was changed"):
        at(root).check("translator", "1.0.0")


def test_collecting_keeps_three_stable_ones_and_what_is_in_use(at: At, root: Path, published: Publish) -> None:
    for minor in range(6):
        published(f"1.{minor}.0", status="stable")
    dry = at(root).collect([("translator", "1.0.0")], [("translator", "v1.1.0")], 3, 0.0, True)
    assert [one.version for one in dry.verdicts if not one.stays] == ["1.2.0"] and not dry.removed
    assert len(at(root).versions()) == 6
    done = at(root).collect([("translator", "1.0.0")], [("translator", "v1.1.0")], 3, 0.0, False)
    assert done.removed and done.bytes > 0
    assert [one.version for one in at(root).versions()] == ["1.5.0", "1.4.0", "1.3.0", "1.1.0", "1.0.0"]


def test_an_object_store_takes_versions_and_is_asked_as_a_directory_is(at: At, tmp_path: Path) -> None:
    registry = at(f"memory://{uuid4().hex}")
    folder = weights(tmp_path / "new", "weights")
    assert registry.publish(folder, metadata(), "anna", ())[1] is True
    registry.mark("translator", "1.0.0", "stable", "anna", "better")
    assert [(one.version, one.latest) for one in registry.versions()] == [("1.0.0", True)]
    assert [change.why for change in registry.describe("translator").log][-1] == "better"
    registry.check("translator", "1.0.0")
    assert registry.verify("translator", True)[0].problems == ()


def test_an_object_store_is_collected_but_for_what_clusters_want(at: At, tmp_path: Path) -> None:
    where = f"memory://{uuid4().hex}"
    registry = at(where)
    for minor in range(6):
        registry.publish(
            weights(tmp_path / f"new-{minor}", f"weights {minor}"), metadata(version=f"1.{minor}.0"), "anna", ()
        )
        registry.mark("translator", f"1.{minor}.0", "stable", "anna", "better")
    written(where, "1.0.0")
    (tmp_path / "shared").mkdir()
    written(str(tmp_path / "shared"), "1.1.0")
    done = registry.collect((), (), 3, 0.0, False, [str(tmp_path / "shared")])
    assert [one.version for one in done.verdicts if not one.stays] == ["1.2.0"]
    assert [one.version for one in at(where).versions()] == ["1.5.0", "1.4.0", "1.3.0", "1.1.0", "1.0.0"]


def test_where_it_cannot_be_told_what_a_cluster_wants_nothing_is_collected(
    at: At, root: Path, published: Publish, tmp_path: Path
) -> None:
    for minor in range(4):
        published(f"1.{minor}.0", status="stable")
    with pytest.raises(ModelsError, match="no folder"):
        at(root).collect((), (), 3, 0.0, False, [str(tmp_path / "nowhere")])
    written(str(root), "1.3.0")
    (root / ".cluster" / "shop" / "desired" / "000000000002.json").write_text("{")
    with pytest.raises(Refused, match="cannot be read"):
        at(root).collect((), (), 3, 0.0, False)
    assert len(at(root).versions()) == 4


def test_a_full_verification_of_an_object_store_sees_what_lies_there_now(at: At, tmp_path: Path) -> None:
    import fsspec

    where = f"memory://{uuid4().hex}"
    registry = at(where)
    registry.publish(weights(tmp_path / "new", "weights"), metadata(), "anna", ())
    assert registry.verify("translator", False)[0].problems == ()
    store = fsspec.filesystem("memory")
    largest = max(store.find(f"{where}/translator/1.0.0/content", detail=True).values(), key=lambda one: one["size"])
    store.pipe_file(largest["name"], b"x" * largest["size"])
    (found,) = registry.verify("translator", True)
    assert "is not as it was published" in found.problems[0]


def test_a_damaged_copy_here_is_no_damage_of_a_version_that_lies_elsewhere(at: At, tmp_path: Path) -> None:
    registry = at(f"memory://{uuid4().hex}")
    registry.publish(weights(tmp_path / "new", "weights"), metadata(), "anna", ())
    for look in (
        lambda: registry.verify("translator", False)[0].problems == (),
        lambda: registry.check("translator", "1.0.0") is None,
    ):
        assert look()
        copy = next(path for path in tmp_path.rglob("translator/1.0.0/*.safetensors"))
        copy.chmod(0o644)
        copy.write_bytes(b"cut")
        assert look() and copy.stat().st_size > 3


def test_a_mounted_registry_is_read_where_it_lies(at: At, root: Path, published: Publish) -> None:
    published("1.0.0", status="stable")
    assert at(root.as_uri()).stable("translator") == ["1.0.0"]
