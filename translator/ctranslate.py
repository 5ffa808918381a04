"""The network as CTranslate2 computes it, from the files that `conversion.py` made: 8-bit weights, and no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from translator.conversion import FACTS, SHARED, SOURCE, TARGET, Conversion, digest_of
from translator.errors import StartError
from translator.network import Rows, Written, room

ENGINE = "ctranslate2"
# A search ends when so many times its beams are finished (Kasai et al. 2022). transformers goes on until nothing else
# can win; with 1 some translations end too early, which costs a third of a point.
PATIENCE = 2.0


class CompiledNetwork:
    """A `Network` that CTranslate2 computes. Its memory is free when the last reference to it has gone."""

    engine = ENGINE

    def __init__(self, library: Any, source: list[str], target: list[str], facts: Conversion, beams: int) -> None:
        self._library = library
        self._source = source
        self._ids = {piece: number for number, piece in enumerate(target)}
        self._pad = facts.pad
        search = facts.search
        self._options: dict[str, Any] = {
            "beam_size": beams or search.num_beams,
            "patience": PATIENCE,
            "length_penalty": search.length_penalty,
            "repetition_penalty": search.repetition_penalty,
            "no_repeat_ngram_size": search.no_repeat_ngram_size,
            "suppress_sequences": [[target[piece] for piece in run] for run in search.suppress] or None,
            "min_decoding_length": 0,
            "max_input_length": 0,  # nothing is cut off in silence
        }
        self.longest = facts.longest
        self.pieces = len(source)
        self.sha256 = facts.weights_sha256
        self.quantization = facts.quantization

    @classmethod
    def load(cls, folder: Path, threads: int = 1, beams: int = 0, sha256: str = "") -> CompiledNetwork:
        """Read what `convert` made in `folder`. Raises `StartError` when it cannot be used.

        `threads` compute groups of rows side by side: several on one row cost a small network more than they bring.
        `beams` 0 means: as the Marian directory said, else greedy. `sha256`: of the weights from which it must come.
        """
        try:
            facts = _checked(folder)
            source, target = _vocabularies(folder)
            import ctranslate2  # type: ignore[import-untyped]

            library = ctranslate2.Translator(str(folder), device="cpu", intra_threads=1, inter_threads=threads)
        except Exception as error:  # whatever the library raises, the message must name the directory
            raise StartError(f"{folder} cannot be loaded: {type(error).__name__}: {error}") from error
        if sha256 and sha256 != facts.weights_sha256:
            raise StartError(
                f"{folder} was converted from other weights ({facts.weights_sha256[:12]}) than {sha256[:12]}"
            )
        return cls(library, source, target, facts, beams)

    def generate(self, rows: Rows) -> Rows:
        """As `Network` says."""
        return [written.pieces for written in self.write(rows)]

    def write(self, rows: Rows) -> list[Written]:
        """As `Network` says: rows of one length go together.

        The library has one room for a batch. And padding changes sums in their last digit, which decides, where
        activations are rounded to 8 bits, about one sentence in a thousand: without it a row is its own affair.
        """
        groups: dict[int, list[int]] = {}
        for index, row in enumerate(rows):
            groups.setdefault(len(row), []).append(index)
        begun = [(chosen, self._begin([rows[index] for index in chosen])) for chosen in groups.values()]
        found: dict[int, Written] = {}
        for chosen, results in begun:
            pieces = room(rows[chosen[0]], self.longest)
            for index, waiting in zip(chosen, results, strict=True):
                result = waiting.result()
                found[index] = self._written(result.hypotheses[0], result.scores[0], pieces)
        return [found[index] for index in range(len(rows))]

    def _begin(self, rows: Rows) -> list[Any]:
        """Futures of the translations of rows of one length."""
        pieces = room(rows[0], self.longest)
        texts = [[self._source[piece] for piece in row] for row in rows]
        futures: list[Any] = self._library.translate_batch(
            texts, max_decoding_length=pieces + 1, return_scores=True, asynchronous=True, **self._options
        )
        return futures

    def _written(self, pieces: list[str], score: float, most: int) -> Written:
        """The library divides the logarithm by the pieces and their end, to the power of length_penalty."""
        ids = [self._ids[piece] for piece in pieces[:most]]
        steps = min(len(pieces) + 1, most + 1)  # what was cut off has no end
        total = score * steps ** self._options["length_penalty"]
        return Written([piece for piece in ids if piece != self._pad], total)


def _checked(folder: Path) -> Conversion:
    """What conversion.json says, when all of its files are there and as they were written."""
    if not (folder / FACTS).is_file():
        raise ValueError(f"{FACTS} missing")
    facts = Conversion.read(folder)
    for name, digest in facts.files.items():
        if not (folder / name).is_file():
            raise ValueError(f"{name} missing")
        if digest_of(folder / name) != digest:
            raise ValueError(f"{name} is not what {FACTS} says: it is damaged, or of another conversion")
    return facts


def _vocabularies(folder: Path) -> tuple[list[str], list[str]]:
    names = (SHARED, SHARED) if (folder / SHARED).is_file() else (SOURCE, TARGET)
    source, target = (json.loads((folder / name).read_text(encoding="utf-8")) for name in names)
    return source, target
