"""What is asked of a version before it is loaded, on a real registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelhost.errors import EnvironmentMismatch, IntegrityError, UnsafeWeights
from modelhost.loading.base import Loaded, Placement
from modelhost.loading.checks import Integrity, standard
from modelhost.loading.memory import Budget
from modelhost.loading.pool import Pool
from modelhost.registry.base import Entry
from modelhost.registry.directory import DirectoryRegistry
from modelhost.registry.publish import publish
from tests.modelhost.loading.published import damage, metadata


class BytesLoader:
    """Its models are the bytes of the first file."""

    def estimate(self, entry: Entry, placement: Placement) -> int:
        return entry.info.bytes

    def load(self, entry: Entry, placement: Placement) -> Loaded:
        return Loaded(entry, (entry.path / entry.info.files[0].path).read_bytes(), entry.info.bytes, placement)

    def warm_up(self, loaded: Loaded) -> None:
        assert loaded.model


def put(
    root: Path, version: str, name: str = "weights.safetensors", content: bytes = b"x" * 64, **changes: object
) -> Entry:
    source = root.parent / f"source-{version}"
    source.mkdir()
    (source / name).write_bytes(content)
    publish(root, source, metadata("model", version, **changes), who="ann", allow_pickles=[name])
    return DirectoryRegistry(root).find("model", version)


@pytest.mark.parametrize("how", ["cut", "changed", "missing"])
def test_a_damaged_version_is_refused_at_its_load_and_the_other_one_keeps_serving(how: str, tmp_path: Path) -> None:
    root = tmp_path / "models"
    put(root, "1.0.0")
    damage(put(root, "2.0.0"), how)
    pool = Pool(DirectoryRegistry(root), {"safetensors": BytesLoader()}, Budget(1000), checks=standard())
    with pool.lease("model", "1.0.0") as serving:
        with pytest.raises(IntegrityError, match=r"model 2\.0\.0.*weights\.safetensors"):
            pool.lease("model", "2.0.0")
        assert serving.model == b"x" * 64
    assert pool.close() == []


def test_files_that_nobody_touched_are_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = put(tmp_path / "models", "1.0.0")
    read: list[Entry] = []
    monkeypatch.setattr("modelhost.loading.checks.check_files", read.append)
    integrity = Integrity()
    integrity(entry)
    integrity(entry)
    assert read == [entry]
    damage(entry, "changed")
    integrity(entry)
    assert read == [entry, entry]


def test_damage_after_a_first_good_look_is_found_at_the_next_load(tmp_path: Path) -> None:
    entry, integrity = put(tmp_path / "models", "1.0.0"), Integrity()
    integrity(entry)
    damage(entry, "changed")
    with pytest.raises(IntegrityError, match="was changed"):
        integrity(entry)


def test_a_pickle_and_a_foreign_environment_are_refused_unless_allowed(tmp_path: Path) -> None:
    import pickle

    root = tmp_path / "models"
    unsafe = put(root, "1.0.0", "weights.bin", pickle.dumps({"a": 1}))
    foreign = put(root, "2.0.0", environment={"python": "2.7", "packages": {}})

    def run(entry: Entry, **settings: object) -> None:
        for check in standard(**settings):  # type: ignore[arg-type]
            check(entry)

    with pytest.raises(UnsafeWeights, match=r"weights\.bin"):
        run(unsafe)
    run(unsafe, pickles={"model": ["weights.bin"]})
    with pytest.raises(EnvironmentMismatch, match=r"model 2\.0\.0.*python 2\.7"):
        run(foreign)
