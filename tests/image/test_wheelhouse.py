"""Wheels for a build without a network, from an index on this disk."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from release.config.image import Wheelhouse
from release.errors import BuildFailed
from release.image.wheelhouse import WheelCache, command


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one wheel, which the user's pip configuration names."""
    folder = tmp_path / "index"
    folder.mkdir()
    info = "tinywheel-1.0.dist-info"
    with zipfile.ZipFile(folder / "tinywheel-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tinywheel.py", "VALUE = 1\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinywheel\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def frozen(tree: Path, wheel: Path) -> None:
    tree.mkdir(exist_ok=True)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (tree / "requirements.txt").write_text(f"tinywheel==1.0 --hash=sha256:{digest}\n")


def test_wheels_are_downloaded_once_and_placed_into_the_context(index: Path, tmp_path: Path) -> None:
    tree, cache = tmp_path / "tree", WheelCache(tmp_path / "cache")
    frozen(tree, index / "tinywheel-1.0-py3-none-any.whl")
    said: list[str] = []
    for context in ("one", "two"):
        cache.fill(Wheelhouse(requirements="requirements.txt"), tmp_path / context, tree, said.append)
        assert [p.name for p in (tmp_path / context / "wheelhouse").iterdir()] == ["tinywheel-1.0-py3-none-any.whl"]
    assert len([line for line in said if line.startswith("downloading")]) == 1


def test_a_wrong_hash_fails_and_leaves_no_folder(index: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "requirements.txt").write_text(f"tinywheel==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(BuildFailed) as caught:
        WheelCache(tmp_path / "cache").obtain(tree / "requirements.txt", "3.11", lambda _: None)
    assert "--generate-hashes" in str(caught.value.hint)
    assert [path for path in (tmp_path / "cache").iterdir() if path.is_dir()] == []


def test_a_version_that_no_index_has_is_told(index: Path, tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text(f"tinywheel==9.9 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(BuildFailed, match=r"tinywheel==9\.9"):
        WheelCache(tmp_path / "cache").obtain(path, "3.11", lambda _: None)


def test_another_python_is_asked_for_by_name(tmp_path: Path) -> None:
    line = command(tmp_path / "requirements.txt", "3.99", tmp_path)
    assert line[line.index("--python-version") + 1] == "3.99" and "--platform" in line
