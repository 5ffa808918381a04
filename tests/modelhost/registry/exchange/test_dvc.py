from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from modelhost.errors import IntegrityError, InvalidRequest
from modelhost.registry.exchange.dvc import read_tracked
from modelhost.registry.publish import publish
from modelhost.registry.verify import check_files
from tests.modelhost.registry.material import metadata, weights


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def put(cache: Path, content: bytes, ending: str = "") -> str:
    digest = md5(content) + ending
    path = cache / digest[:2] / digest[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return digest


@pytest.fixture
def tracked(tmp_path: Path) -> Path:
    """A repository as `dvc add models` leaves it; the `.dvc` file."""
    folder = weights(tmp_path / "repository" / "models")
    cache = tmp_path / "repository" / ".dvc" / "cache" / "files" / "md5"
    listing = [
        {"md5": put(cache, path.read_bytes()), "relpath": path.relative_to(folder).as_posix()}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    digest = put(cache, json.dumps(listing).encode(), ".dir")
    pointer = folder.with_name("models.dvc")
    pointer.write_text(
        f"desc: trained on talks\nouts:\n- md5: {digest}\n  size: 1\n  nfiles: 3\n  hash: md5\n  path: models\n"
    )
    return pointer


def test_a_tracked_directory_becomes_a_version(tracked: Path, root: Path) -> None:
    shutil.rmtree(tracked.with_name("models"))  # As after a fresh clone and `dvc fetch`.
    draft = read_tracked(tracked)
    entry = publish(root, draft.files, {**metadata(), **draft.metadata}, who="anna").entry

    assert {file.path for file in entry.info.files} == {"config.json", "model.safetensors", "vocab/source.spm"}
    assert entry.info.note == "trained on talks"
    check_files(entry, full=True)


def test_what_the_cache_lacks_comes_from_the_work_tree(tracked: Path) -> None:
    model = tracked.with_name("models") / "model.safetensors"
    digest = md5(model.read_bytes())
    (tracked.parent / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]).unlink()
    assert read_tracked(tracked).files["model.safetensors"] == model

    model.write_bytes(b"changed since")
    with pytest.raises(IntegrityError, match=r"model\.safetensors is not what DVC tracked"):
        read_tracked(tracked)
    model.unlink()
    with pytest.raises(IntegrityError, match="run dvc pull"):
        read_tracked(tracked)


def test_a_cache_elsewhere_is_found_by_the_configuration(tracked: Path, tmp_path: Path) -> None:
    settings = tracked.parent / ".dvc"
    (settings / "cache").rename(tmp_path / "shared-cache")
    shutil.rmtree(tracked.with_name("models"))
    with pytest.raises(IntegrityError, match="run dvc fetch"):
        read_tracked(tracked)
    (settings / "config").write_text(f"[core]\n    remote = store\n[cache]\n    dir = {tmp_path / 'shared-cache'}\n")
    assert len(read_tracked(tracked).files) == 3
    (settings / "config").unlink()
    assert len(read_tracked(tracked, cache=tmp_path / "shared-cache").files) == 3


def test_a_changed_list_of_files_is_refused(tracked: Path) -> None:
    listing = next((tracked.parent / ".dvc" / "cache").rglob("*.dir"))
    listing.write_text("[]")
    with pytest.raises(IntegrityError, match="list of files"):
        read_tracked(tracked)


def test_a_single_file_in_the_layout_of_dvc_2_with_its_own_line_endings(tmp_path: Path) -> None:
    (tmp_path / ".dvc" / "cache").mkdir(parents=True)
    put(tmp_path / ".dvc" / "cache", b"weights")
    (tmp_path / "vocab.txt").write_bytes(b"a\r\nb\r\n")
    pointer = tmp_path / "model.dvc"
    outputs = (
        f"- md5: {md5(b'weights')}\n  path: model.safetensors\n- md5: {md5(b'a' + bytes([10]) + b'b' + bytes([10]))}\n"
    )
    pointer.write_text(f"outs:\n{outputs}  path: vocab.txt\n")
    assert set(read_tracked(pointer).files) == {"model.safetensors", "vocab.txt"}


@pytest.mark.parametrize("text", ["", "outs: 3", "outs:\n- md5: ../../etc\n  path: x", "outs:\n- etag: abc\n  path: x"])
def test_what_is_no_pointer_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.dvc").write_text(text)
    with pytest.raises(InvalidRequest):
        read_tracked(tmp_path / "x.dvc")
