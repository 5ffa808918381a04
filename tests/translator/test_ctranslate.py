"""Converted files that are not as they were written are refused before they answer anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.translator import random_marian
from translator.conversion import FACTS, SHARED, convert, digest_of
from translator.ctranslate import CompiledNetwork
from translator.errors import StartError

WEIGHTS = "model.bin"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A converted directory."""
    convert(random_marian.write(tmp_path / "marian"), tmp_path / "out")
    return tmp_path / "out"


def truncate(folder: Path) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: len(whole) // 2])


def truncate_and_vouch(folder: Path) -> None:
    """What only the library can see."""
    truncate(folder)
    facts = json.loads((folder / FACTS).read_text())
    (folder / FACTS).write_text(json.dumps(facts | {"files": {WEIGHTS: digest_of(folder / WEIGHTS)}}))


def flip(folder: Path) -> None:
    bytes_ = bytearray((folder / WEIGHTS).read_bytes())
    bytes_[-100] ^= 1
    (folder / WEIGHTS).write_bytes(bytes_)


HARM: dict[str, tuple[Callable[[Path], object], str]] = {
    "half of the weights": (truncate, "damaged"),
    "half of the weights, vouched for": (truncate_and_vouch, "RuntimeError"),
    "one bit": (flip, "damaged"),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), f"{WEIGHTS} missing"),
    "no vocabulary": (lambda folder: (folder / SHARED).unlink(), f"{SHARED} missing"),
    "no facts": (lambda folder: (folder / FACTS).unlink(), f"{FACTS} missing"),
    "facts of nothing": (lambda folder: (folder / FACTS).write_text("{}"), "KeyError"),
    "facts that are no JSON": (lambda folder: (folder / FACTS).write_text("?"), "JSONDecodeError"),
    "a vocabulary of another size": (
        lambda folder: (folder / SHARED).write_text('["</s>", "<unk>"]'),
        f"{SHARED} is not",
    ),
}


@pytest.mark.parametrize("harm", HARM)
def test_what_is_damaged_is_refused_with_the_folder_and_the_reason(folder: Path, harm: str) -> None:
    damage, says = HARM[harm]
    assert CompiledNetwork.load(folder).generate(random_marian.ROWS)
    damage(folder)
    with pytest.raises(StartError) as refused:
        CompiledNetwork.load(folder)
    assert str(folder) in str(refused.value) and says in str(refused.value)


def test_what_comes_of_other_weights_is_refused(folder: Path) -> None:
    right = CompiledNetwork.load(folder).sha256
    assert CompiledNetwork.load(folder, sha256=right).sha256 == right
    with pytest.raises(StartError, match="converted from other weights"):
        CompiledNetwork.load(folder, sha256="0" * 64)


def test_it_computes_on_after_its_files_are_gone(folder: Path) -> None:
    network = CompiledNetwork.load(folder)
    before = network.generate(random_marian.ROWS)
    for file in folder.iterdir():
        file.unlink()
    assert network.generate(random_marian.ROWS) == before


def test_threads_and_beams_are_as_asked(folder: Path) -> None:
    one, two = CompiledNetwork.load(folder, threads=1, beams=2), CompiledNetwork.load(folder, threads=2, beams=2)
    assert one.generate(random_marian.ROWS) == two.generate(random_marian.ROWS)
    assert one.generate(random_marian.ROWS) != CompiledNetwork.load(folder, beams=1).generate(random_marian.ROWS)
