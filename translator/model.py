"""A Marian directory, loaded from disk alone, as something that translates lists of sentences.

Any directory in the Marian form will do: the bundled ones in `models/`, or a production model given by MODEL_DIR.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from translator.errors import StartError
from translator.text import clean

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

    def __init__(self, model: Any, tokenizer: Any, sha256: str, beams: int = 0) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._beams = beams
        self.sha256 = sha256

    @classmethod
    def load(cls, folder: Path, threads: int = 1, beams: int = 0, allow_pickle: bool = False) -> Translator:
        """Read a directory into memory as 32-bit floats. Raises `StartError` when it cannot be used."""
        weights = weights_file(folder, allow_pickle)
        os.environ["HF_HUB_OFFLINE"] = "1"
        # The parts by their own modules: the package's front door imports a great deal more.
        import torch
        from transformers.models.marian.modeling_marian import MarianMTModel
        from transformers.models.marian.tokenization_marian import MarianTokenizer
        from transformers.utils import logging

        quiet: Any = logging  # untyped in transformers
        quiet.set_verbosity_error()
        quiet.disable_progress_bar()
        torch.set_num_threads(threads)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*sacremoses.*")
                tokenizer = MarianTokenizer.from_pretrained(folder, local_files_only=True)
            model: Any = MarianMTModel.from_pretrained(
                folder, local_files_only=True, dtype=torch.float32, use_safetensors=weights.suffix == ".safetensors"
            )
        except Exception as error:  # whatever the library raises, the message must name the directory
            raise StartError(f"{folder} cannot be loaded: {type(error).__name__}: {error}") from error
        return cls(model.eval(), tokenizer, hashlib.sha256(weights.read_bytes()).hexdigest(), beams)

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

        config = self._model.config
        longest = int(config.max_position_embeddings)
        batch = self._tokenizer(sentences, return_tensors="pt", padding=True, truncation=True, max_length=longest)
        # Room is given by a sentence's own length: its translation must not depend on its neighbours in the batch.
        rooms = [min(longest - 1, 2 * pieces + 10) for pieces in batch["attention_mask"].sum(1).tolist()]
        options = {"num_beams": self._beams} if self._beams else {}
        with torch.inference_mode():
            out = self._model.generate(**batch, max_new_tokens=max(rooms), max_length=None, **options)
            for row, room in zip(out, rooms, strict=True):
                row[room:] = config.pad_token_id
        lines = [clean(line) for line in self._tokenizer.batch_decode(out, skip_special_tokens=True)]
        return Translated(lines, int(batch["attention_mask"].sum()), int((out != config.pad_token_id).sum()))
