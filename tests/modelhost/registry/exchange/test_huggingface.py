from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from modelhost.errors import IntegrityError, InvalidRequest, Refused
from modelhost.registry.exchange.huggingface import read_directory
from modelhost.registry.publish import publish
from modelhost.registry.verify import check_files
from tests.modelhost.registry.material import metadata

CARD = """---
license: apache-2.0
datasets: [news-2024, talks]
model-index:
- name: small
  results:
  - metrics:
    - {type: bleu, value: 31.5}
    - {type: note, value: good}
---
# A model
"""


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """A snapshot as the hub's cache keeps it: links into blobs."""
    folder = tmp_path / "models--org--small" / "snapshots" / "abc123"
    folder.mkdir(parents=True)
    blobs = folder.parent.parent / "blobs"
    blobs.mkdir()
    contents = {
        "config.json": json.dumps({"model_type": "marian", "architectures": ["MarianMTModel"], "d_model": 8}).encode(),
        "model.safetensors": b"weights" * 100,
        "README.md": CARD.encode(),
        ".gitattributes": b"*.safetensors filter=lfs",
    }
    for name, content in contents.items():
        blob = hashlib.sha256(content).hexdigest()
        (blobs / blob).write_bytes(content)
        (folder / name).symlink_to(f"../../blobs/{blob}")
    return folder


def test_a_snapshot_becomes_a_version_of_regular_files(snapshot: Path, root: Path) -> None:
    draft = read_directory(snapshot)
    mine = metadata()
    entry = publish(root, draft.files, {**mine, **draft.metadata}, who="anna").entry

    assert {file.path for file in entry.info.files} == {"config.json", "model.safetensors", "README.md"}
    check_files(entry, full=True)
    assert entry.info.training_data == ("news-2024", "talks")
    assert entry.info.metrics == {"bleu": 31.5}
    assert entry.info.settings["model_type"] == "marian"


def test_a_blob_that_is_not_its_name_is_refused(snapshot: Path) -> None:
    (snapshot / "model.safetensors").resolve().write_bytes(b"other")
    with pytest.raises(IntegrityError, match=r"model\.safetensors .* not what was downloaded"):
        read_directory(snapshot)


def test_a_download_that_broke_off_is_refused(snapshot: Path) -> None:
    (snapshot / "model.safetensors").resolve().unlink()
    with pytest.raises(IntegrityError, match="no content"):
        read_directory(snapshot)
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(IntegrityError, match="no weights"):
        read_directory(snapshot)


def test_shards_that_the_index_names_must_be_there(snapshot: Path) -> None:
    shards = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (snapshot / "model.safetensors.index.json").write_text(json.dumps(shards))
    with pytest.raises(IntegrityError, match=r"not there: model-2\.safetensors"):
        read_directory(snapshot)


def test_links_to_anywhere_else_are_refused(snapshot: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (snapshot / "vocab.json").symlink_to(tmp_path / "secret")
    with pytest.raises(Refused, match=r"vocab\.json"):
        read_directory(snapshot)


def test_a_folder_without_a_configuration_is_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"config\.json"):
        read_directory(tmp_path)
