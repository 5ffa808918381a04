"""What every engine keeps, whichever computes: neighbours, order, rooms, long rows. One suite for all of them."""

from __future__ import annotations

import hashlib
import math
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.translator import random_marian
from translator.conversion import convert
from translator.ctranslate import CompiledNetwork
from translator.network import Network, Written, confidence, room
from translator.score import read_cases
from translator.settings import MODELS, served_model
from translator.text import lay_out
from translator.tokenizer import Tokenizer
from translator.torch_engine import TorchNetwork

Make = Callable[[Path, int], Network]
EVALUATION = MODELS.parent / "evaluation" / "zh-en.jsonl"
SPECIAL = {random_marian.EOS, random_marian.PAD}


@pytest.fixture(scope="module", params=["torch", "float32", "int8"])
def make(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Load a Marian directory into one of the engines, with so many beams."""

    def load(folder: Path, beams: int) -> Network:
        if request.param == "torch":
            return TorchNetwork.load(folder, beams=beams)
        out = tmp_path_factory.mktemp("converted") / request.param
        convert(folder, out, request.param)
        return CompiledNetwork.load(out, beams=beams)

    return load


@pytest.fixture(scope="module")
def rows() -> list[list[int]]:
    """Ids of real sentences, from short to long."""
    sentences = [part for case in read_cases(EVALUATION)[::20] for part in lay_out(case.source).sentences()]
    return Tokenizer.load(served_model(MODELS)).encode(sentences, 256)


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that never ends a sentence by itself."""
    never = {"suppress_tokens": [random_marian.PAD], "sequence_bias": None}
    folder = random_marian.write(tmp_path_factory.mktemp("marian"), never)
    return without_end(folder)


def without_end(folder: Path) -> Path:
    """Weights whose bias keeps the end from being chosen."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights["final_logits_bias"][0, random_marian.EOS] = -1e4
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("beams", [1, 2])
def test_a_translation_does_not_depend_on_its_neighbours(make: Make, rows: list[list[int]], beams: int) -> None:
    network = make(served_model(MODELS), beams)
    chosen = rows[:48]
    together = network.generate(chosen)
    assert together == [network.generate([row])[0] for row in chosen]
    assert len({tuple(row) for row in together}) > 40


def test_the_order_of_a_batch_changes_nothing(make: Make, rows: list[list[int]]) -> None:
    network = make(served_model(MODELS), 2)
    order = random.Random(1).sample(range(len(rows)), len(rows))
    shuffled = network.generate([rows[index] for index in order])
    together = network.generate(rows)
    assert shuffled == [together[index] for index in order]


@pytest.mark.parametrize("beams", [1, 3])
def test_each_row_has_its_own_room_beside_longer_ones(make: Make, endless: Path, beams: int) -> None:
    network = make(endless, beams)
    for row, found in zip(random_marian.ROWS, network.generate(random_marian.ROWS), strict=True):
        assert len(found) == room(row, random_marian.LONGEST)
        assert not SPECIAL & set(found)


def test_what_ends_by_itself_has_neither_start_nor_end_nor_padding(make: Make, rows: list[list[int]]) -> None:
    for row, found in zip(rows, make(served_model(MODELS), 2).generate(rows), strict=True):
        assert not {0, 8000} & set(found)
        assert 0 < len(found) < room(row, 256)


def test_as_many_pieces_as_there_are_positions_are_translated(make: Make, endless: Path) -> None:
    network = make(endless, 2)
    assert network.longest == random_marian.LONGEST
    long = [2 + number % 50 for number in range(network.longest - 1)] + [random_marian.EOS]
    assert len(network.generate([long])[0]) == random_marian.LONGEST - 2


def test_it_is_known_by_the_published_weights(make: Make) -> None:
    folder = served_model(MODELS)
    network = make(folder, 1)
    assert network.sha256 == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert network.engine in ("torch", "ctranslate2")


def test_two_versions_beside_each_other_are_two(make: Make, rows: list[list[int]]) -> None:
    old, new = (make(MODELS / name, 1) for name in ("v1.0.0", "v1.1.0"))
    first = old.generate(rows[:8])
    assert new.generate(rows[:8]) != first
    del new
    assert old.generate(rows[:8]) == first


def test_what_is_written_is_as_probable_as_torch_finds_it(make: Make, rows: list[list[int]]) -> None:
    """But where a repetition was forbidden: CTranslate2 leaves that piece out of the sum, torch does not."""
    folder = served_model(MODELS)
    ours, exact = make(folder, 1), TorchNetwork.load(folder, beams=1)
    rough = 0.25 if getattr(ours, "quantization", "") == "int8" else 0.01
    written = [pair for pair in zip(ours.write(rows[:60]), exact.write(rows[:60]), strict=True) if same(*pair)]
    assert len(written) > 30
    apart = [abs(one.log_probability - other.log_probability) / (len(one.pieces) + 1) for one, other in written]
    assert sum(distance < rough for distance in apart) >= 0.75 * len(apart)
    assert all(one.log_probability < 0 for one, _ in written)
    assert [each.pieces for each in ours.write(rows[:8])] == ours.generate(rows[:8])


def same(one: Written, other: Written) -> bool:
    return one.pieces == other.pieces


def test_confidence_is_the_mean_of_the_pieces_whatever_line_they_stand_in() -> None:
    assert confidence([(2, math.log(0.25)), (1, math.log(0.5))]) == pytest.approx(0.5)
    assert confidence([(0, 0.0)]) is None
    assert confidence([]) is None


TOGETHER = """
import sys, threading
from pathlib import Path
from translator.tokenizer import Tokenizer
from translator.torch_engine import TorchNetwork
folder, failed = Path(sys.argv[1]), []
def load(kind):
    try:
        kind.load(folder)
    except BaseException as error:
        failed.append(error)
threads = [threading.Thread(target=load, args=(kind,)) for kind in (TorchNetwork, Tokenizer, TorchNetwork, Tokenizer)]
for thread in threads: thread.start()
for thread in threads: thread.join()
sys.exit(repr(failed) if failed else 0)
"""


def test_tokenizer_and_network_may_be_loaded_at_once_by_a_process_that_has_imported_nothing_yet() -> None:
    """As a host does at its start; the library's own imports are not made for that."""
    for _ in range(3):
        command = [sys.executable, "-c", TOGETHER, str(served_model(MODELS))]
        done = subprocess.run(command, cwd=MODELS.parent.parent, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
