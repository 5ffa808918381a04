"""Text to piece ids and back, as a Marian directory defines it: two sentencepiece models and a vocabulary."""

from __future__ import annotations

import json
from pathlib import Path

import sentencepiece

LANGUAGE = (">>", "<<")  # a multilingual model is told its target by a first piece such as >>eng<<


class Pieces:
    """The vocabulary of a directory. Source and target may have one vocabulary or two."""

    def __init__(self, folder: Path, eos: int, pad: int) -> None:
        self.eos, self.pad = eos, pad
        self._source = sentencepiece.SentencePieceProcessor(model_file=str(folder / "source.spm"))
        self._target = sentencepiece.SentencePieceProcessor(model_file=str(folder / "target.spm"))
        self._ids: dict[str, int] = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        target = folder / "target_vocab.json"
        written: dict[str, int] = json.loads(target.read_text(encoding="utf-8")) if target.is_file() else self._ids
        self._texts = {index: text for text, index in written.items()}
        self.unknown = self._ids["<unk>"]
        self._silent = {eos, pad, written["<unk>"]}
        self.wordless: list[int] = []

    def fit(self, source: int, target: int) -> None:
        """Hold the vocabulary against the number of pieces that the network reads and writes.

        Raises ValueError where a piece has no place in the network. Places that no piece has are `wordless`.
        """
        highest = max(self._ids.values()), max(self._texts)
        if highest[0] >= source or highest[1] >= target:
            raise ValueError(f"the vocabulary goes up to {highest}, the weights to {(source - 1, target - 1)}")
        self.wordless = [index for index in range(target) if index not in self._texts and index not in self._silent]

    def encode(self, sentence: str, longest: int) -> list[int]:
        """Ids of a sentence, at most `longest` with the end-of-sentence id that closes them."""
        first: list[str] = []
        if sentence.startswith(LANGUAGE[0]) and LANGUAGE[1] in sentence:
            language, mark, sentence = sentence.partition(LANGUAGE[1])
            first = [language + mark]
        pieces = first + self._source.encode(sentence, out_type=str)
        ids = [self._ids.get(piece, self.unknown) for piece in pieces]
        return [*ids[: longest - 1], self.eos]

    def decode(self, ids: list[int]) -> str:
        """The text of ids, without special pieces."""
        text: str = self._target.decode_pieces([self._texts[index] for index in ids if index not in self._silent])
        return text
