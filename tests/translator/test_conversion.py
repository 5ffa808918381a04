"""Marian's weights for CTranslate2: the same network in 32-bit floats, the same bytes each time, or refused by name."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from tests.translator import random_marian
from tests.translator.running import ROOT
from translator.conversion import Conversion, convert, digest_of
from translator.ctranslate import CompiledNetwork
from translator.errors import StartError
from translator.score import read_cases
from translator.settings import MODELS, served_model
from translator.text import lay_out
from translator.tokenizer import Tokenizer
from translator.torch_engine import TorchNetwork

EVALUATION = MODELS.parent / "evaluation" / "zh-en.jsonl"
ROWS = random_marian.ROWS


@pytest.fixture(scope="module")
def rows() -> list[list[int]]:
    """Ids of real sentences; both bundled versions have one vocabulary."""
    sentences = [part for case in read_cases(EVALUATION)[::16] for part in lay_out(case.source).sentences()]
    return Tokenizer.load(served_model(MODELS)).encode(sentences, 256)


def compiled(folder: Path, out: Path, quantization: str = "float32", beams: int = 1) -> CompiledNetwork:
    """A directory converted and loaded."""
    convert(folder, out, quantization)
    return CompiledNetwork.load(out, beams=beams)


@pytest.mark.parametrize("version", ["v1.0.0", "v1.1.0"])
def test_in_32_bit_floats_each_greedy_translation_is_that_of_torch(
    version: str, rows: list[list[int]], tmp_path: Path
) -> None:
    ours = compiled(MODELS / version, tmp_path / "out").generate(rows)
    assert ours == TorchNetwork.load(MODELS / version, beams=1).generate(rows)
    assert len({tuple(row) for row in ours}) > 60


def test_eight_bits_leave_most_pieces_as_they_were(rows: list[list[int]], tmp_path: Path) -> None:
    exact = compiled(served_model(MODELS), tmp_path / "float32").generate(rows)
    eight = compiled(served_model(MODELS), tmp_path / "int8", "int8").generate(rows)
    same = sum(len({*ours} & {*theirs}) for ours, theirs in zip(eight, exact, strict=True))
    assert same > 0.8 * sum(len({*row}) for row in exact)
    sizes = [(tmp_path / name / "model.bin").stat().st_size for name in ("int8", "float32")]
    assert sizes[0] < 0.3 * sizes[1]


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"decoder_attention_heads": 8},
        {"scale_embedding": False, "activation_function": "relu"},
        {"encoder_layers": 3, "decoder_layers": 2},
    ],
    ids=["plain", "other heads in the decoder", "unscaled", "deeper decoder"],
)
def test_each_shape_of_the_published_form_computes_as_torch_does(shape: dict[str, Any], tmp_path: Path) -> None:
    folder = random_marian.write(tmp_path / "marian", **shape)
    exact = TorchNetwork.load(folder, beams=1).generate(ROWS)
    assert compiled(folder, tmp_path / "out").generate(ROWS) == exact
    assert len({tuple(row) for row in exact}) > len(ROWS) / 2


def test_the_target_may_have_a_vocabulary_and_a_table_of_its_own(tmp_path: Path) -> None:
    apart = {"share_encoder_decoder_embeddings": False, "tie_word_embeddings": False}
    folder = random_marian.write(tmp_path / "marian", decoder_vocab_size=random_marian.PIECES, **apart)
    names = list(json.loads((folder / "vocab.json").read_text(encoding="utf-8")))
    other = {f"other-{name}" if name.startswith("piece") else name: number for number, name in enumerate(names)}
    (folder / "target_vocab.json").write_text(json.dumps(other), encoding="utf-8")
    assert compiled(folder, tmp_path / "out").generate(ROWS) == TorchNetwork.load(folder, beams=1).generate(ROWS)


def test_it_searches_as_the_directory_says(tmp_path: Path) -> None:
    free = random_marian.write(tmp_path / "free")
    plain = compiled(free, tmp_path / "plain").generate(ROWS)
    banned = max({piece for row in plain for piece in row}, key=lambda piece: sum(row.count(piece) for row in plain))
    search = {
        "suppress_tokens": [banned],
        "no_repeat_ngram_size": 2,
        "num_beams": 3,
        "bad_words_ids": [[random_marian.PAD]],
    }
    folder = random_marian.write(tmp_path / "searching", search)
    found = compiled(folder, tmp_path / "out", beams=0).generate(ROWS)
    assert Conversion.read(tmp_path / "out").search.num_beams == 3
    assert banned not in {piece for row in found for piece in row}
    for row in found:
        pairs = list(itertools.pairwise(row))
        assert len(pairs) == len(set(pairs))
    assert found != compiled(folder, tmp_path / "greedy", beams=1).generate(ROWS)


def test_the_same_weights_become_the_same_bytes(tmp_path: Path) -> None:
    first, again = tmp_path / "first", tmp_path / "again"
    for folder in (first, again):
        convert(served_model(MODELS), folder)
    names = sorted(path.name for path in first.iterdir())
    assert names == ["config.json", "conversion.json", "model.bin", "shared_vocabulary.json"]
    assert all((first / name).read_bytes() == (again / name).read_bytes() for name in names)
    assert first.stat().st_mode & 0o055 == 0o055, "another user serves it"
    assert Conversion.read(first).weights_sha256 == digest_of(served_model(MODELS) / "model.safetensors")


def spoil_option(folder: Path) -> None:
    file = folder / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"encoder_no_repeat_ngram_size": 3}))


def spoil_weights(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.encoder.layers.0.fc1.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def spoil_kind(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "bart"}')


SPOILED = {
    "encoder_no_repeat_ngram_size": spoil_option,
    "fc1.weight": spoil_weights,
    "not 'marian'": spoil_kind,
    "58 pieces for 60 rows": lambda folder: random_marian.write_vocabulary(folder / "vocab.json", 58),
    "no <unk>": lambda folder: random_marian.write_vocabulary(folder / "vocab.json", unknown="?"),
    "vocab.json": lambda folder: (folder / "vocab.json").unlink(),
    "SafetensorError": lambda folder: (folder / "model.safetensors").write_bytes(b"nothing of the kind"),
}


@pytest.mark.parametrize("says", SPOILED)
def test_what_cannot_be_converted_is_refused_by_name_and_leaves_nothing(says: str, tmp_path: Path) -> None:
    folder = random_marian.write(tmp_path / "marian")
    SPOILED[says](folder)
    with pytest.raises(StartError) as refused:
        convert(folder, tmp_path / "out" / "ctranslate2")
    assert str(folder) in str(refused.value) and says in str(refused.value)
    assert not list((tmp_path / "out").iterdir())


def test_what_was_converted_is_not_written_over(tmp_path: Path) -> None:
    convert(served_model(MODELS), tmp_path / "out")
    with pytest.raises(StartError, match=r"out exists"):
        convert(MODELS / "v1.0.0", tmp_path / "out")
    assert CompiledNetwork.load(tmp_path / "out").sha256 == digest_of(served_model(MODELS) / "model.safetensors")


def test_the_command_converts_and_says_what_it_cannot(tmp_path: Path) -> None:
    model = Path(shutil.copytree(random_marian.write(tmp_path / "marian"), tmp_path / "model"))

    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "translator.conversion", str(model), str(tmp_path / "out")]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=500)

    done = run()
    assert (done.returncode, done.stderr) == (0, "") and "bytes" in done.stdout
    assert CompiledNetwork.load(tmp_path / "out").generate(ROWS[:1])
    again = run()
    assert again.returncode == 1 and "exists" in again.stderr and "Traceback" not in again.stderr
