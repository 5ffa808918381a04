"""The bundled models as versions of one registry: filled once, repeatable, fit together, refused where they differ."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from modelhost.registry.base import Status
from modelhost.registry.directory import DirectoryRegistry
from modelhost.registry.mates import misfits
from modelhost.registry.verify import check_files
from tests.translator.running import ROOT
from translator import bundle
from translator.bundle import MODEL, POSTPROCESSING, TOKENIZER
from translator.damage import main as damage
from translator.errors import StartError
from translator.settings import MODELS, model_folders


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry as an image has it."""
    root = tmp_path_factory.mktemp("image") / "registry"
    subprocess.run([sys.executable, "-m", "translator.bundle", str(root)], cwd=ROOT, check=True, timeout=300)
    return root


def test_both_models_are_versions_and_share_one_vocabulary(filled: Path) -> None:
    registry = DirectoryRegistry(filled)
    assert registry.components() == sorted([MODEL, TOKENIZER, POSTPROCESSING])
    models = registry.versions(MODEL)
    assert [entry.version for entry in models] == ["1.1.0", "1.0.0"]
    assert [bundle.name_of(entry) for entry in models] == ["v1.1.0", "v1.0.0"]
    (vocabulary,), (steps,) = registry.versions(TOKENIZER), registry.versions(POSTPROCESSING)
    for model in models:
        assert misfits([model.info, vocabulary.info, steps.info]) == []
        assert model.info.mates == {TOKENIZER: vocabulary.info.digest}


def test_a_version_says_what_its_card_says(filled: Path) -> None:
    newest = DirectoryRegistry(filled).find(MODEL, "1.1.0").info
    card = (MODELS / "v1.1.0" / "README.md").read_text(encoding="utf-8")
    assert f"| manythings-test | 2000 | {newest.metrics['manythings-test.bleu']:.1f} |" in card
    assert any(source.startswith("Tatoeba") for source in newest.training_data)
    assert newest.environment.packages.keys() >= {"torch", "ctranslate2", "transformers", "sentencepiece"}
    assert {"model.safetensors", "ctranslate2/model.bin"} <= {file.path for file in newest.files}


def test_all_that_lies_there_is_whole(filled: Path) -> None:
    registry = DirectoryRegistry(filled)
    for component in registry.components():
        for entry in registry.versions(component):
            check_files(entry, full=True)


def test_what_serves_and_what_is_older_is_stable_and_nothing_newer(tmp_path: Path) -> None:
    bundle.fill(tmp_path, model_folders(MODELS), convert=False)
    older = MODELS / "v1.0.0"
    bundle.mark_stable(tmp_path, bundle.stable_up_to(model_folders(MODELS), older), "a test")
    registry = DirectoryRegistry(tmp_path)
    statuses = {entry.version: entry.status for entry in registry.versions(MODEL)}
    assert statuses == {"1.1.0": Status.UNSTABLE, "1.0.0": Status.STABLE}
    assert registry.find(MODEL).version == "1.0.0"


def test_a_version_that_a_person_rejected_stays_rejected(tmp_path: Path) -> None:
    folders = model_folders(MODELS)
    bundle.fill(tmp_path, folders, convert=False)
    registry = DirectoryRegistry(tmp_path)
    registry.mark(MODEL, "1.1.0", Status.REJECTED, "ann", "names are wrong")
    bundle.mark_stable(tmp_path, folders, "a test")
    assert registry.find(MODEL, "1.1.0").status is Status.REJECTED
    assert registry.find(MODEL).version == "1.0.0"


def test_a_model_of_ones_own_is_published_beside_the_others_converted_and_waits_to_be_promoted(tmp_path: Path) -> None:
    root, model = tmp_path / "registry", tmp_path / "v1.2.0"
    bundle.fill(root, [MODELS / "v1.0.0"], convert=False)
    shutil.copytree(MODELS / "v1.1.0", model, ignore=shutil.ignore_patterns("ctranslate2"))
    called = [sys.executable, "-m", "translator.bundle", str(root), "--models", str(model)]
    done = subprocess.run(called, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "model 1.2.0 unstable" in done.stdout
    registry = DirectoryRegistry(root)
    newest, (vocabulary,) = registry.versions(MODEL)[0], registry.versions(TOKENIZER)
    assert (newest.version, newest.status) == ("1.2.0", Status.UNSTABLE)
    assert newest.info.mates == {TOKENIZER: vocabulary.info.digest}
    assert "ctranslate2/model.bin" in {file.path for file in newest.info.files}
    assert registry.log(MODEL)[-1].who == bundle.caller() != bundle.WHO


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    called = [sys.executable, "-m", "translator.bundle", str(tmp_path / "registry"), "--models", str(tmp_path)]
    done = subprocess.run(called, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{tmp_path} has no model: name a Marian directory" in done.stderr
    assert not (tmp_path / "registry").exists()


def test_filling_again_changes_nothing(filled: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(filled, tmp_path / "registry"))
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("version.json")}
    bundle.fill(copy, model_folders(MODELS))
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("version.json")} == before


def test_other_weights_under_a_number_that_is_taken_are_refused(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(filled, tmp_path / "registry"))
    out = tmp_path / "v1.1.0"
    monkeypatch.setattr(sys, "argv", ["damage", str(MODELS / "v1.1.0"), str(out), "--noise", "0.1"])
    damage()
    with pytest.raises(StartError, match=r"another v1\.1\.0"):
        bundle.fill(copy, [out])


def test_a_vocabulary_of_the_targets_own_goes_with_the_tokenizer_and_makes_it_another(tmp_path: Path) -> None:
    first = MODELS / "v1.0.0"
    own = Path(shutil.copytree(MODELS / "v1.1.0", tmp_path / "v1.1.0", symlinks=True))
    shutil.copy(own / "vocab.json", own / "target_vocab.json")
    registry = tmp_path / "registry"
    bundle.fill(registry, [first, own], convert=False)
    newer, older = DirectoryRegistry(registry).versions(TOKENIZER)
    assert (newer.path / "target_vocab.json").is_file()
    assert not (older.path / "target_vocab.json").exists()
    assert DirectoryRegistry(registry).find(MODEL, "1.1.0").info.mates == {TOKENIZER: newer.info.digest}


@pytest.mark.parametrize(
    ("name", "version"),
    [("v1.2.0", "1.2.0"), ("1.2.0-rc.1", "1.2.0-rc.1"), ("opus mt_zh", "0.0.0+opus-mt-zh"), ("_", "0.0.0+model")],
)
def test_a_folder_of_any_name_has_a_version(name: str, version: str) -> None:
    assert bundle.version_of(Path(name)) == version
