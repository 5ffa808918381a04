"""A Marian directory, loaded from disk alone, as something that translates lists of sentences.

Any directory in the Marian form will do: the bundled ones in `models/`, or a production model given by MODEL_DIR.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from translator.errors import StartError
from translator.generation import Search
from translator.text import clean

if TYPE_CHECKING:
    import torch

    from translator.marian import Marian
    from translator.pieces import Pieces

NEEDED = ("config.json", "source.spm", "target.spm", "vocab.json")
LONGEST_BATCH = 64  # sentences in one forward


@dataclass(frozen=True)
class Translated:
    """Translated sentences, and what they cost in subword pieces (padding not counted)."""

    lines: list[str]
    source_tokens: int
    target_tokens: int


def weights_file(folder: Path, allow_pickle: bool = False) -> Path:
    """The file with the weights; raises `StartError` when the directory is not a Marian one."""
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise StartError(f"{folder} is not a Marian model directory: {', '.join(missing)} missing")
    unreadable = [path.name for path in folder.iterdir() if path.is_file() and not os.access(path, os.R_OK)]
    if unreadable:
        raise StartError(f"{folder}: no permission to read {', '.join(unreadable)}")
    if (folder / "model.safetensors").is_file():
        return folder / "model.safetensors"
    if (folder / "pytorch_model.bin").is_file():
        if allow_pickle:
            return folder / "pytorch_model.bin"
        raise StartError(f"{folder} holds pickled weights: convert them, or set TRANSLATOR_ALLOW_PICKLE=1")
    raise StartError(f"{folder} has no model.safetensors")


class Translator:
    """A loaded model. `translate` is not safe to call from two threads at once: `worker.py` sees to that."""

    def __init__(self, net: Marian, pieces: Pieces, search: Search, sha256: str) -> None:
        self._net = net
        self._pieces = pieces
        self._search = search
        self.sha256 = sha256

    @classmethod
    def load(cls, folder: Path, threads: int = 1, beams: int = 0, allow_pickle: bool = False) -> Translator:
        """Read a directory into memory as 32-bit floats. Raises `StartError` when it cannot be used.

        `beams` 0 means: as the directory's generation_config.json says, else greedy.
        """
        file = weights_file(folder, allow_pickle)
        warnings.filterwarnings("ignore", message="Failed to initialize NumPy")  # torch works without it
        import torch

        from translator.marian import Marian
        from translator.pieces import Pieces

        torch.set_num_threads(threads)
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            net = Marian(config, {name: tensor.float() for name, tensor in read_weights(file).items()})
            pieces = Pieces(folder, net.eos, net.pad)
            pieces.fit(*net.sizes)
            search = Search.read(folder, beams)
        except Exception as error:  # whatever the libraries raise, the message must name the directory
            raise StartError(f"{folder} cannot be loaded: {type(error).__name__}: {error}") from error
        return cls(net, pieces, search, hashlib.sha256(file.read_bytes()).hexdigest())

    def translate(self, sentences: list[str]) -> Translated:
        """Translate sentences, `LONGEST_BATCH` in a forward, those of similar length together."""
        order = sorted(range(len(sentences)), key=lambda index: len(sentences[index]))
        lines = [""] * len(sentences)
        source_tokens = target_tokens = 0
        for start in range(0, len(order), LONGEST_BATCH):
            chosen = order[start : start + LONGEST_BATCH]
            part = self._forward([sentences[index] for index in chosen])
            for index, line in zip(chosen, part.lines, strict=True):
                lines[index] = line
            source_tokens += part.source_tokens
            target_tokens += part.target_tokens
        return Translated(lines, source_tokens, target_tokens)

    def _forward(self, sentences: list[str]) -> Translated:
        """Translate a batch in one forward."""
        import torch

        from translator.search import Bans, beam, greedy

        net, pieces = self._net, self._pieces
        encoded = [pieces.encode(sentence, net.longest) for sentence in sentences]
        width = max(map(len, encoded))
        source = torch.tensor([ids + [pieces.pad] * (width - len(ids)) for ids in encoded])
        mask = torch.tensor([[True] * len(ids) + [False] * (width - len(ids)) for ids in encoded])
        # Room is given by a sentence's own length: its translation must not depend on its neighbours in the batch.
        rooms = [min(net.longest - 1, 2 * len(ids) + 10) for ids in encoded]
        bans = Bans(sorted({pieces.pad, *self._search.never, *pieces.wordless}), self._search.repeat)
        with torch.inference_mode():
            memory = net.encode(source, mask)
            if self._search.beams == 1:
                written = greedy(net, memory, rooms, bans)
            else:
                written = beam(net, memory, rooms, bans, self._search.beams, self._search.penalty)
        lines = [clean(pieces.decode(ids)) for ids in written]
        return Translated(lines, sum(map(len, encoded)), sum(map(len, written)))


def read_weights(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a weights file by name; a pickle is read as tensors alone and runs no code of its own."""
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(file)
    import torch

    loaded: dict[str, torch.Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    return loaded
