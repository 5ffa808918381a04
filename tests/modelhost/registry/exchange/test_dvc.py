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


# -- pipelines -----------------------------------------------------------------------------------------------------


@pytest.fixture
def reproduced(tracked: Path) -> Path:
    """The same repository after `dvc repro` of a pipeline of two stages; its `dvc.lock`, as DVC 3 writes it."""
    cache = tracked.parent / ".dvc" / "cache" / "files" / "md5"
    folder = tracked.read_text().split("md5: ")[1].split()[0]
    tracked.unlink()
    vocabulary, metrics = put(cache, b"a vocabulary"), md5(b'{"bleu": 31.5}')
    (tracked.parent / "metrics.json").write_text('{"bleu": 31.5}')  # `cache: false`: in the work tree alone
    lock = tracked.with_name("dvc.lock")
    lock.write_text(
        f"""\
schema: '2.0'
stages:
  prepare:
    cmd: python prepare.py
    deps:
    - path: prepare.py
      hash: md5
      md5: 0123456789abcdef0123456789abcdef
      size: 12
    outs:
    - path: out/vocab.txt
      hash: md5
      md5: {vocabulary}
      size: 12
  train@large:
    cmd: python train.py
    deps:
    - path: out/vocab.txt
      hash: md5
      md5: {vocabulary}
      size: 12
    params:
      params.yaml:
        rate: 0.1
    outs:
    - path: metrics.json
      hash: md5
      md5: {metrics}
      size: 14
    - path: models
      hash: md5
      md5: {folder}
      size: 7647
      nfiles: 3
  check:
    cmd: python check.py
"""
    )
    return lock


@pytest.mark.parametrize(
    ("wanted", "files"),
    [
        ("dvc.lock:models", {"config.json", "model.safetensors", "vocab/source.spm"}),
        ("dvc.lock:./models/", {"config.json", "model.safetensors", "vocab/source.spm"}),
        ("dvc.lock:out/vocab.txt", {"vocab.txt"}),
        ("dvc.yaml:prepare", {"vocab.txt"}),
        ("dvc.lock:train@large", {"config.json", "metrics.json", "model.safetensors", "vocab/source.spm"}),
    ],
)
def test_an_output_of_a_pipeline_is_imported_by_its_path_or_by_its_stage(
    reproduced: Path, wanted: str, files: set[str]
) -> None:
    shutil.rmtree(reproduced.with_name("models"))
    assert set(read_tracked(reproduced.parent / wanted).files) == files


def test_an_output_of_a_pipeline_is_what_its_last_run_made(
    reproduced: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(reproduced.parent)
    draft = read_tracked(Path("dvc.lock:models"))
    check_files(publish(root, draft.files, metadata(), who="anna").entry, full=True)
    Path("metrics.json").write_text("{}")
    with pytest.raises(IntegrityError, match=r"metrics\.json is not what DVC tracked"):
        read_tracked(Path("dvc.lock:metrics.json"))


@pytest.mark.parametrize("wanted", ["dvc.lock", "dvc.lock:nothing", "dvc.lock:check-"])
def test_what_a_pipeline_has_is_told_to_who_names_nothing_of_it(reproduced: Path, wanted: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_tracked(reproduced.parent / wanted)
    assert "prepare (out/vocab.txt); train@large (metrics.json, models)" in refused.value.hint
    assert "dvc.lock:out/vocab.txt" in refused.value.hint


def test_the_only_output_needs_no_name_and_the_first_format_is_read(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"weights")
    (tmp_path / "dvc.lock").write_text(
        f"train:\n  cmd: train\n  outs:\n  - path: model.bin\n    md5: {md5(b'weights')}\n"
    )
    assert set(read_tracked(tmp_path / "dvc.lock").files) == {"model.bin"}


def test_two_outputs_that_bring_a_file_of_one_name_are_no_version(tmp_path: Path) -> None:
    outs = ""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.bin").write_bytes(folder.encode())
        outs += f"  - path: {folder}/model.bin\n    md5: {md5(folder.encode())}\n"
    (tmp_path / "dvc.lock").write_text(f"train:\n  cmd: train\n  outs:\n{outs}")
    with pytest.raises(InvalidRequest, match=r"bring a file called model\.bin"):
        read_tracked(tmp_path / "dvc.lock:train")
    assert set(read_tracked(tmp_path / "dvc.lock:b/model.bin").files) == {"model.bin"}


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """What stages that run in folders of their own left, of outputs with `cache: false`; their `dvc.lock`."""
    stages = {
        "train": ("wdir: models/large", "models/large", "metrics.json"),
        "judge@zh": ("foreach: [zh, en]\n    do: {wdir: 'judged/${item}'}", "judged/zh", "metrics.json"),
        "report": ("cmd: report", ".", "report.txt"),
    }
    lock, pipeline = "schema: '2.0'\nstages:\n", "stages:\n"
    for name, (said, folder, file) in stages.items():
        place = tmp_path / folder / file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(name)
        lock += f"  {name}:\n    outs: [{{path: {file}, hash: md5, md5: {md5(name.encode())}}}]\n"
        pipeline += f"  {name.partition('@')[0]}:\n    {said}\n"
    (tmp_path / "dvc.lock").write_text(lock)
    (tmp_path / "dvc.yaml").write_text(pipeline)
    return tmp_path / "dvc.lock"


@pytest.mark.parametrize(
    ("wanted", "stage"),
    [
        ("train", "train"),
        ("models/large/metrics.json", "train"),
        ("judge@zh", "judge@zh"),
        ("./judged/zh/metrics.json", "judge@zh"),
        ("report.txt", "report"),
    ],
)
def test_outputs_of_a_stage_that_runs_in_a_folder_of_its_own_are_found_there(
    elsewhere: Path, wanted: str, stage: str
) -> None:
    (file,) = read_tracked(Path(f"{elsewhere}:{wanted}")).files.values()
    assert file.read_text() == stage


def test_a_file_that_tracks_what_lies_in_another_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "model.bin").write_bytes(b"weights")
    pointer = tmp_path / "dvc" / "model.dvc"
    pointer.parent.mkdir()
    pointer.write_text(f"wdir: ../data\nouts:\n- md5: {md5(b'weights')}\n  hash: md5\n  path: model.bin\n")
    assert read_tracked(pointer).files["model.bin"].read_bytes() == b"weights"


@pytest.mark.parametrize("text", [None, "", "stages: 3", "schema: '2.0'", "train: {outs: [{md5: abc}]}", "a: b"])
def test_what_is_no_record_of_a_pipeline_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "dvc.lock").write_text(text)
    with pytest.raises(InvalidRequest, match="record of a pipeline"):
        read_tracked(tmp_path / "dvc.yaml:train")
