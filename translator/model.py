"""A translator put together of its three parts: tokenizer, network, postprocessing.

Any directory in the Marian form will do: the bundled ones in `models/`, or a production model given by MODEL_DIR.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from translator.errors import StartError
from translator.network import Network
from translator.postprocessing import Postprocessing
from translator.tokenizer import NEEDED as VOCABULARY
from translator.tokenizer import Tokenizer
from translator.torch_engine import TorchNetwork, weights_file

NEEDED = ("config.json", *VOCABULARY)
BATCH = 32  # sentences in one forward, where nobody says how many


@dataclass(frozen=True)
class Translated:
    """Translated sentences, and what they cost in subword pieces (padding not counted).

    `scores`: of each line the pieces written, its end included, and the natural logarithm of their probability.
    """

    lines: list[str]
    source_tokens: int
    target_tokens: int
    scores: list[tuple[int, float]] = field(default_factory=list)


def demand_directory(folder: Path, allow_pickle: bool = False) -> Path:
    """The file with the weights of a Marian directory; raises `StartError` when it is none."""
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise StartError(f"{folder} is not a Marian model directory: {', '.join(missing)} missing")
    return weights_file(folder, allow_pickle)


@dataclass(frozen=True)
class Translator:
    """Three parts that fit. `translate` is not safe from two threads at once: `worker.py` sees to that.

    `batch`: sentences in one forward, at most.
    """

    tokenizer: Tokenizer
    network: Network
    postprocessing: Postprocessing
    batch: int = BATCH

    @classmethod
    def load(cls, folder: Path, threads: int = 1, beams: int = 0, allow_pickle: bool = False) -> Translator:
        """All of a Marian directory, computed by torch in 32-bit floats. Raises `StartError` when it cannot be used.

        `beams` 0 means: as the directory's generation_config.json says, else greedy.
        """
        demand_directory(folder, allow_pickle)
        network = TorchNetwork.load(folder, threads, beams, allow_pickle)
        tokenizer = Tokenizer.load(folder)
        if tokenizer.size > network.pieces:
            raise StartError(f"{folder}: the vocabulary has {tokenizer.size} pieces, the weights {network.pieces}")
        return cls(tokenizer, network, Postprocessing.load())

    def __call__(self, sentences: list[str]) -> Translated:
        """`translate`: equal sets make equal functions, whose sentences a worker takes together."""
        return self.translate(sentences)

    def translate(self, sentences: list[str]) -> Translated:
        """Translate sentences, `batch` in a forward, those of similar length together."""
        rows = self.tokenizer.encode(sentences, self.network.longest) if sentences else []
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        lines = [""] * len(rows)
        scores = [(0, 0.0)] * len(rows)
        for start in range(0, len(order), self.batch):
            chosen = order[start : start + self.batch]
            found = self.network.write([rows[index] for index in chosen])
            texts = self.tokenizer.decode([each.pieces for each in found])
            for index, each, text in zip(chosen, found, texts, strict=True):
                lines[index] = self.postprocessing(text)
                scores[index] = len(each.pieces) + 1, each.log_probability
        written = sum(pieces - 1 for pieces, _ in scores)
        return Translated(lines, sum(map(len, rows)), written, scores)
