from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from modelhost.errors import IntegrityError
from modelhost.registry.base import Entry
from modelhost.registry.verify import check_files, damage
from tests.modelhost.registry.material import Publish


@pytest.fixture
def entry(published: Publish) -> Entry:
    """A published version whose files can be damaged."""
    entry = published("1.0.0")
    for path in [entry.path, *entry.path.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return entry


@pytest.fixture(params=[False, True], ids=["fast", "full"])
def full(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_a_whole_version_passes(entry: Entry, full: bool) -> None:
    assert damage(entry.path, entry.info, full=full) == []
    check_files(entry, full=full)


def test_one_changed_byte_is_found(entry: Entry, full: bool) -> None:
    path = entry.path / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert damage(entry.path, entry.info, full=full) == ["model.safetensors was changed"]


def test_a_cut_file_is_named_with_its_sizes(entry: Entry, full: bool) -> None:
    path = entry.path / "model.safetensors"
    size = path.stat().st_size
    os.truncate(path, 100)
    with pytest.raises(IntegrityError, match=rf"model\.safetensors is cut to 100 of {size} bytes"):
        check_files(entry, full=full)


def test_every_damage_is_named_in_one_error(entry: Entry, full: bool) -> None:
    (entry.path / "config.json").unlink()
    (entry.path / "model.safetensors").open("ab").write(b"more")
    (entry.path / "extra.bin").write_bytes(b"stranger")
    (entry.path / "vocab" / "source.spm").unlink()
    (entry.path / "vocab" / "source.spm").symlink_to("/etc/hostname")
    size = entry.info.files[1].bytes

    assert damage(entry.path, entry.info, full=full) == [
        "config.json is missing",
        f"model.safetensors has grown from {size} to {size + 4} bytes",
        "vocab/source.spm is a link, and was published as a file",
        "extra.bin was not published",
    ]


def test_swapped_files_are_called_swapped(entry: Entry, full: bool) -> None:
    one, other = entry.path / "config.json", entry.path / "vocab" / "source.spm"
    content, instead = one.read_bytes(), other.read_bytes()
    one.write_bytes(instead)
    other.write_bytes(content)
    assert damage(entry.path, entry.info, full=full) == [
        "config.json has the content of vocab/source.spm: swapped",
        "vocab/source.spm has the content of config.json: swapped",
    ]


def test_the_weights_of_another_version_are_recognised(entry: Entry, published: Publish, full: bool) -> None:
    other = published("1.1.0")
    shutil.copy(other.path / "model.safetensors", entry.path / "model.safetensors")
    found = damage(entry.path, entry.info, full=full, others=[other.info])
    assert found == ["model.safetensors has the content of model.safetensors of model 1.1.0: swapped"]


def test_a_half_copied_version_says_what_did_not_come(entry: Entry, tmp_path: Path, full: bool) -> None:
    half = tmp_path / "half"
    half.mkdir()
    shutil.copy(entry.path / "version.json", half)
    shutil.copy(entry.path / "config.json", half)
    assert damage(half, entry.info, full=full) == ["model.safetensors is missing", "vocab/source.spm is missing"]


def test_a_folder_in_a_files_place_is_no_file(entry: Entry, full: bool) -> None:
    (entry.path / "config.json").unlink()
    (entry.path / "config.json").mkdir()
    assert damage(entry.path, entry.info, full=full) == ["config.json is no file"]
