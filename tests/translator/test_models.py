"""The shipped versions: whole, small, described."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from safetensors import safe_open

from translator.model import NEEDED, demand_directory
from translator.publish import LARGEST
from translator.settings import MODELS, served_model

VERSIONS = sorted(path for path in MODELS.iterdir() if path.is_dir() and path.name.startswith("v"))


def test_there_are_two_versions_and_one_of_them_serves() -> None:
    assert [path.name for path in VERSIONS] == ["v1.0.0", "v1.1.0"]
    assert served_model(MODELS) in VERSIONS


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda path: path.name)
def test_a_version_is_whole_and_small(folder: Path) -> None:
    assert demand_directory(folder) == folder / "model.safetensors"
    assert all((folder / name).is_file() for name in (*NEEDED, "generation_config.json", "tokenizer_config.json"))
    assert sum(path.stat().st_size for path in folder.iterdir()) <= LARGEST
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in folder.iterdir()), "readable for every user"
    assert (folder / "target.spm").readlink() == Path("source.spm"), "one vocabulary is stored once"


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda path: path.name)
def test_weights_are_stored_in_half_precision(folder: Path) -> None:
    with safe_open(folder / "model.safetensors", "pt") as weights:
        assert {str(weights.get_slice(name).get_dtype()) for name in weights.keys()} == {"F16"}  # noqa: SIM118
    assert json.loads((folder / "config.json").read_text(encoding="utf-8"))["dtype"] == "float16"


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda path: path.name)
def test_the_card_states_sources_licences_and_measured_scores(folder: Path) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith(f"# Chinese → English, {folder.name}\n")
    for source in ("Tatoeba", "JEC", "TICO-19", "Python", "Kubernetes", "React", "Vue", ".NET", "Helm", "CNCF"):
        assert source in card
    assert "CC BY 2.0 FR" in card and "tatoeba.org" in card
    assert re.search(r"Measured on \d{4}-\d\d-\d\d", card)
    assert "BLEU|nrefs:1" in card
    for name in ("manythings-test", "techdocs-test", "zh-en", "zh-en, daily", "zh-en, technical"):
        assert re.search(rf"\| {name} \| \d+ \| \d+\.\d \| \d+\.\d \| \d+\.\d \|", card), name


def test_the_newer_version_is_clearly_the_better_one() -> None:
    def bleu(folder: Path, name: str) -> float:
        found = re.search(rf"\| {name} \| \d+ \| (\d+\.\d) ", (folder / "README.md").read_text(encoding="utf-8"))
        assert found is not None
        return float(found[1])

    old, new = VERSIONS
    assert bleu(new, "manythings-test") >= bleu(old, "manythings-test") + 5
    assert bleu(new, "zh-en") > bleu(old, "zh-en")
