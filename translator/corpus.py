"""Parallel text for training: reading, filtering, mixing, subword pieces and batches of similar length.

Nothing here knows a model; `train.py` does. Files are `zh<TAB>en`, one pair a line, UTF-8.
"""

from __future__ import annotations

import io
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sentencepiece

CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")

# How often a pair of each source is seen in one pass. Everyday sentences are few and short, documentation is plentiful.
REPEATS = {
    "tatoeba-manythings": 5,
    "jec-basic": 3,
    "tico19-dev": 2,
    "cncf-glossary": 2,
}

EOS, UNK = 0, 1


@dataclass(frozen=True)
class Pair:
    """One sentence and its translation."""

    source: str
    target: str


@dataclass(frozen=True)
class Encoded:
    """A pair as piece ids, each side closed by the end-of-sentence id."""

    source: list[int]
    target: list[int]


def read_pairs(path: Path, max_chars: int = 110) -> list[Pair]:
    """Distinct pairs of a file whose Chinese side has Chinese in it and at most `max_chars` characters."""
    pairs: dict[Pair, None] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        source, tab, target = line.partition("\t")
        if tab and target.strip() and len(source) <= max_chars and CHINESE.search(source):
            pairs[Pair(source.strip(), target.strip())] = None
    return list(pairs)


def read_training(folder: Path) -> dict[str, list[Pair]]:
    """Pairs by source name, from every `NAME.zh-en.tsv` in `folder`."""
    found = {path.name.removesuffix(".zh-en.tsv"): read_pairs(path) for path in sorted(folder.glob("*.zh-en.tsv"))}
    if not found:
        raise FileNotFoundError(f"no *.zh-en.tsv in {folder}: give the folder that holds train/ and eval/")
    return found


def train_pieces(training: dict[str, list[Pair]], path: Path, size: int) -> Path:
    """Train one sentencepiece model for both languages into `path` and return it. Ids: 0 `</s>`, 1 `<unk>`."""

    def sentences() -> Iterator[str]:
        for name, pairs in training.items():
            for pair in pairs * min(REPEATS.get(name, 1), 3):
                yield pair.source
                yield pair.target

    made = io.BytesIO()  # written by hand: the trainer would store the file's own path in it
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=sentences(),
        model_writer=made,
        vocab_size=size,
        character_coverage=0.9997,
        model_type="unigram",
        eos_id=EOS,
        unk_id=UNK,
        bos_id=-1,
        pad_id=-1,
        num_threads=2,
        input_sentence_size=300_000,
        shuffle_input_sentence=True,
        split_digits=True,
        minloglevel=2,
    )
    path.write_bytes(made.getvalue())
    return path


def encode(
    pieces: sentencepiece.SentencePieceProcessor, training: dict[str, list[Pair]], max_pieces: int
) -> list[Encoded]:
    """All pairs as ids, repeated as `REPEATS` says, without those that are over-long or of unlikely proportions."""
    encoded = []
    for name, pairs in training.items():
        sources = pieces.encode([pair.source for pair in pairs])
        targets = pieces.encode([pair.target for pair in pairs])
        kept = [
            Encoded([*source, EOS], [*target, EOS])
            for source, target in zip(sources, targets, strict=True)
            if len(source) < max_pieces and len(target) < max_pieces and plausible(len(source), len(target))
        ]
        encoded.extend(kept * REPEATS.get(name, 1))
    return encoded


def plausible(source: int, target: int) -> bool:
    """Whether two lengths in pieces can belong to one sentence and its translation."""
    return target <= 3 * source + 6 and source <= 3 * target + 6


def batches(encoded: list[Encoded], tokens: int, seed: int) -> Iterator[list[Encoded]]:
    """One pass over all pairs, in random batches of similar length and at most `tokens` padded pieces a side."""
    chance = random.Random(seed)
    order = sorted(encoded, key=lambda pair: (len(pair.target) + chance.random() * 2, len(pair.source)))
    passes: list[list[Encoded]] = []
    batch: list[Encoded] = []
    longest = 0
    for pair in order:
        longest = max(longest, len(pair.source), len(pair.target))
        if batch and longest * (len(batch) + 1) > tokens:
            passes.append(batch)
            batch, longest = [], max(len(pair.source), len(pair.target))
        batch.append(pair)
    passes.append(batch)
    chance.shuffle(passes)
    yield from passes
