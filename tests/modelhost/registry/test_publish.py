from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import stat
import struct
import zipfile
from pathlib import Path

import pytest
import xxhash

from modelhost.errors import ConfigError, Conflict, IncompleteMetadata, InvalidRequest, Refused, UnsafeWeights
from modelhost.registry.directory import DirectoryRegistry
from modelhost.registry.durable import remove
from modelhost.registry.publish import publish
from modelhost.registry.verify import check_files
from tests.modelhost.registry.material import AT_EVERY_CALL, Publish, metadata, script, weights


def test_what_is_published_is_what_was_in_the_folder(root: Path, source: Path) -> None:
    result = publish(root, source, metadata(), who="anna")

    assert result.fresh
    assert [file.path for file in result.entry.info.files] == ["config.json", "model.safetensors", "vocab/source.spm"]
    for file in result.entry.info.files:
        content = (source / file.path).read_bytes()
        assert (result.entry.path / file.path).read_bytes() == content
        assert file.bytes == len(content)
        assert file.sha256 == hashlib.sha256(content).hexdigest()
        assert file.fast == xxhash.xxh3_128(content).hexdigest()
    check_files(result.entry, full=True)
    assert json.loads((result.entry.path / "version.json").read_text())["note"] == "first"


def test_nothing_is_published_into_a_folder_that_is_called_like_a_bucket(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ConfigError, match="is a URL"):
        publish("s3://bucket/models", source, metadata(), who="anna")
    assert list(Path().iterdir()) == []


def test_a_published_version_is_read_only_and_shares_nothing_with_its_source(root: Path, source: Path) -> None:
    entry = publish(root, source, metadata(), who="anna").entry
    (source / "model.safetensors").write_bytes(b"overwritten in place")

    check_files(entry, full=True)
    for path in [entry.path, *entry.path.rglob("*")]:
        assert not path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH), path
        assert path.is_dir() or path.stat().st_nlink == 1


def test_everything_that_lacks_is_named_at_once_in_words(root: Path, source: Path) -> None:
    with pytest.raises(IncompleteMetadata) as refused:
        publish(root, source, {"component": "model", "version": "1.0.0", "note": "  "}, who="anna")

    for field in ("loader", "note", "metrics", "training_data", "environment", "preprocessing", "postprocessing"):
        assert f"{field}: " in refused.value.message
    assert "interface: " in refused.value.message
    assert "validation error" not in str(refused.value)
    assert not root.exists()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"version": "1.2"}, "version is '1.2'; what is asked for: a SemVer number"),
        ({"created": "2026-01-01T00:00:00"}, "; what is asked for: when it was made, with a time zone"),
        ({"metrics": {"bleu": float("nan")}}, "bleu is no finite number"),
        ({"metric": {}}, "metric: there is no such field, metrics was meant?"),
        ({"settings": {"beams": {1, 2}}}, "settings: cannot be written as JSON"),
        ({"environment": {"packages": {}}}, "environment.python is missing"),
        (
            {"interface": {"inputs": [{"name": "x", "datatype": "TEXT", "shape": [1]}], "outputs": [], "shape": "a/1"}},
            "interface.inputs.0.datatype is 'TEXT'; what is asked for: one of BOOL, INT8,",
        ),
        ({"component": "../model"}, "component is '../model'; what is asked for: the name of the part"),
    ],
)
def test_wrong_metadata_is_said_in_words(root: Path, source: Path, fields: dict[str, object], said: str) -> None:
    with pytest.raises(IncompleteMetadata) as refused:
        publish(root, source, metadata(**fields), who="anna")
    assert said in refused.value.message
    assert not root.exists()


def test_of_safetensors_it_is_said_what_reads_them_be_it_nothing(root: Path, source: Path) -> None:
    with pytest.raises(IncompleteMetadata, match=r"environment\.packages: .* model\.safetensors .*torch: 2"):
        publish(root, source, metadata(environment={"python": "3.11.7"}), who="anna")
    assert not root.exists()
    for number, packages in enumerate(({"numpy": "2.3.1"}, {"torch": "2.13.0", "transformers": "5.23.0"}, {})):
        said = metadata(version=f"1.{number}.0", environment={"python": "3.11.7", "packages": packages})
        assert publish(root, source, said, who="anna").entry.info.environment.packages == packages
        assert not publish(root, source, said, who="anna").fresh


@pytest.mark.parametrize("name", ["model.pt", "old/weights.pth", "pytorch_model-00001-of-00002.bin"])
def test_a_format_that_torch_alone_reads_names_torch(root: Path, source: Path, name: str) -> None:
    (source / name).parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(source / name, "w") as archive:
        archive.writestr("model/data.pkl", b"\x80\x02N.")
    for packages in ({}, {"numpy": "2.3.1"}):
        said = metadata(environment={"python": "3.11.7", "packages": packages})
        with pytest.raises(IncompleteMetadata, match=rf"environment\.packages: the torch that {name} was made with"):
            publish(root, source, said, who="anna", allow_pickles=[name])
    publish(root, source, metadata(), who="anna", allow_pickles=[name])


def test_what_is_read_without_a_framework_names_none(root: Path, source: Path) -> None:
    (source / "model.safetensors").rename(source / "phrases.json")
    (source / "ctranslate2").mkdir()
    (source / "ctranslate2" / "config.json").write_text("{}")
    publish(root, source, metadata(environment={"python": "3.11.7"}), who="anna")


def test_an_empty_folder_and_no_folder_are_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(IncompleteMetadata, match="at least one file"):
        publish(root, tmp_path / "empty", metadata(), who="anna")
    with pytest.raises(InvalidRequest, match="no folder"):
        publish(root, tmp_path / "absent", metadata(), who="anna")


def test_publishing_the_same_again_says_so_and_changes_nothing(root: Path, source: Path) -> None:
    first = publish(root, source, metadata(), who="anna")
    again = publish(root, source, metadata(), who="ben")

    assert first.fresh and not again.fresh
    assert again.entry == first.entry
    assert len(DirectoryRegistry(root).log("model")) == 1


def test_other_content_or_metadata_under_a_taken_number_is_a_conflict(root: Path, source: Path) -> None:
    publish(root, source, metadata(), who="anna")
    with pytest.raises(Conflict, match=r"difference in note \(\"first\" then, \"[^)]*\" now\)"):
        publish(root, source, metadata(note="other"), who="anna")
    (source / "config.json").write_text("{}")
    with pytest.raises(Conflict, match=r"difference in config\.json"):
        publish(root, source, metadata(), who="anna")


def test_the_number_of_a_removed_version_stays_taken(root: Path, published: Publish, source: Path) -> None:
    remove(published("1.0.0").path)
    with pytest.raises(Conflict, match="removed"):
        publish(root, source, metadata(), who="anna")


def test_links_inside_the_folder_become_files_and_others_are_refused(root: Path, source: Path, tmp_path: Path) -> None:
    (source / "target.spm").symlink_to("vocab/source.spm")
    entry = publish(root, source, metadata(), who="anna").entry
    assert not (entry.path / "target.spm").is_symlink()
    assert (entry.path / "target.spm").read_bytes() == (source / "vocab" / "source.spm").read_bytes()

    (tmp_path / "secret").write_text("not for publication")
    (source / "leak.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(Refused, match=r"lead out of .*leak\.txt"):
        publish(root, source, metadata(version="1.1.0"), who="anna")
    (source / "leak.txt").unlink()
    (source / "folder").symlink_to("vocab")
    with pytest.raises(Refused, match="no files: folder"):
        publish(root, source, metadata(version="1.1.0"), who="anna")


def test_hidden_files_and_an_old_description_are_left_out(root: Path, source: Path) -> None:
    (source / ".git").mkdir()
    (source / ".git" / "config").write_text("[core]")
    (source / "version.json").write_text("{}")
    entry = publish(root, source, metadata(), who="anna").entry
    assert {file.path for file in entry.info.files} == {"config.json", "model.safetensors", "vocab/source.spm"}


def zipped(path: Path, *names: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")


def test_pickles_are_found_by_content_and_by_name_and_refused(root: Path, source: Path) -> None:
    (source / "disguised.safetensors").write_bytes(pickle.dumps({"weights": [1.0]}))
    zipped(source / "archive.dat", "archive/data.pkl", "archive/data/0")
    (source / "pytorch_model.bin").write_bytes(b"whatever")
    (source / "last.pt").write_bytes(b"whatever")
    (source / "old.ckpt.gz").write_bytes(b"whatever")
    (source / "legacy.dat").write_bytes(
        pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + b"raw storage"
    )

    with pytest.raises(UnsafeWeights) as refused:
        publish(root, source, metadata(), who="anna")
    for name in ("disguised.safetensors", "archive.dat", "pytorch_model.bin", "last.pt", "old.ckpt.gz", "legacy.dat"):
        assert name in refused.value.message
    assert "model.safetensors (" not in refused.value.message.replace("disguised.safetensors", "")


def test_a_pickle_passes_only_under_the_name_that_was_allowed(root: Path, source: Path) -> None:
    (source / "one.pt").write_bytes(pickle.dumps(1))
    (source / "two.pt").write_bytes(pickle.dumps(2))
    with pytest.raises(UnsafeWeights) as refused:
        publish(root, source, metadata(), who="anna", allow_pickles=["one.pt"])
    assert "two.pt" in refused.value.message and "one.pt" not in refused.value.message
    publish(root, source, metadata(), who="anna", allow_pickles=["one.pt", "two.pt"])


def test_weights_of_ctranslate2_and_plain_archives_are_no_pickles(root: Path, source: Path) -> None:
    spec = b"TransformerSpec\0"
    (source / "model.bin").write_bytes(struct.pack("<IH", 6, len(spec)) + spec + bytes(64))
    zipped(source / "arrays.npz", "weight.npy")
    assert publish(root, source, metadata(), who="anna").fresh


PUBLISHER = """
    import json, sys
    from pathlib import Path
    from modelhost.errors import Conflict
    from modelhost.registry.publish import publish
    root, source, described = sys.argv[2:]
    print("begin", flush=True)
    try:
        result = publish(root, Path(source), json.loads(described), who="process")
        print("fresh" if result.fresh else "again", flush=True)
    except Conflict:
        print("conflict", flush=True)
"""


KILLED = (
    AT_EVERY_CALL
    + """
    import json
    from pathlib import Path
    from modelhost.registry.directory import DirectoryRegistry
    from modelhost.registry.publish import publish
    from modelhost.registry.verify import check_files

    root, source, described = Path(sys.argv[2]), Path(sys.argv[3]), json.loads(sys.argv[4])
    registry = DirectoryRegistry(root)
    seen = set()

    def attempt():
        number = len(list(root.glob("model/[0-9]*"))) if root.exists() else 0
        publish(root, source, described | {"version": f"1.{number}.0"}, who="process")

    def look(call):
        present = registry.published("model") if root.exists() else []
        for version in present:
            check_files(registry.find("model", version), full=True)
        hidden = {path.name.split("-")[0] for path in root.glob("model/.*")} if root.exists() else set()
        seen.add((len(present), ".staging" in hidden))

    killed_at_every_call(attempt, look)
    print(json.dumps(sorted(seen)))
"""
)


def test_a_kill_at_any_call_leaves_each_version_whole_or_absent(root: Path, source: Path) -> None:
    process = script(KILLED, root, source, json.dumps(metadata()))
    output, errors = process.communicate()
    assert process.returncode == 0, errors

    killed, seen = output.splitlines()
    assert int(killed) > 30
    # Killed before anything was there, in the middle, and after the version had arrived.
    assert [0, False] in json.loads(seen) and [0, True] in json.loads(seen) and [1, True] in json.loads(seen)
    # What they left hinders nobody, and is swept by the next one, which was the last one here.
    assert [path.name for path in (root / "model").iterdir() if path.name.startswith(".")] == [".lock"]
    for entry in DirectoryRegistry(root).versions("model"):
        check_files(entry, full=True)


def test_of_concurrent_publishers_exactly_one_wins(root: Path, tmp_path: Path) -> None:
    sources = [weights(tmp_path / f"source-{number}", f"weights {number}") for number in range(4)]
    publishers = [script(PUBLISHER, root, source, json.dumps(metadata())) for source in sources]
    said = [process.communicate()[0].split()[-1] for process in publishers]

    assert sorted(said) == ["conflict"] * 3 + ["fresh"]
    entry = DirectoryRegistry(root).find("model", "1.0.0")
    check_files(entry, full=True)
    assert json.loads((entry.path / "config.json").read_text())["is"] == f"weights {said.index('fresh')}"


def test_publishers_of_the_same_content_agree(root: Path, source: Path) -> None:
    created = metadata(created="2026-11-21T12:00:00Z")
    publishers = [script(PUBLISHER, root, source, json.dumps(created)) for _ in range(3)]
    said = [process.communicate()[0].split()[-1] for process in publishers]
    assert sorted(said) == ["again", "again", "fresh"]


def test_a_living_publisher_is_not_swept(root: Path, source: Path, published: Publish) -> None:
    from modelhost.registry.staging import staging

    registry = DirectoryRegistry(root)
    with staging(registry, "model", "1.0.0") as stage:
        published("1.1.0")
        assert stage.is_dir()
    assert not stage.exists()


def test_what_is_published_can_be_published_again_elsewhere(root: Path, tmp_path: Path, published: Publish) -> None:
    entry = published("1.0.0")
    shutil.copytree(entry.path, tmp_path / "copy")
    other = publish(tmp_path / "other", tmp_path / "copy", dict(entry.info), who="anna").entry
    assert other.info == entry.info
