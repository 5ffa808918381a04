"""A Marian directory, loaded from disk alone by transformers, as something that translates lists of sentences.

Any directory in the Marian form will do: the bundled ones in `models/`, or a production model given by MODEL_DIR.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from translator.errors import StartError
from translator.text import clean

if TYPE_CHECKING:
    import torch

NEEDED = ("config.json", "source.spm", "target.spm", "vocab.json")
LONGEST_BATCH = 64  # sentences in one forward
# Options of other descendants of BART, which the library's Marian passes over in silence.
UNLIKE = ("normalize_before", "normalize_embedding", "add_final_layer_norm", "extra_pos_embeddings")


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


class Room:
    """A logits processor that ends each sentence where its own room ends.

    The library's `max_new_tokens` holds for a batch: with it, a translation would depend on its neighbours' lengths.
    """

    def __init__(self, rooms: torch.Tensor, eos: int) -> None:
        self._rooms = rooms  # (sentences,) pieces
        self._eos = eos

    def __call__(self, written: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Allow nothing but the end in scores (sentences x beams, vocabulary) of rows that have had their pieces."""
        import torch

        rooms = self._rooms.repeat_interleave(scores.shape[0] // len(self._rooms))
        full = written.shape[1] > rooms  # the first column is the start
        ended = torch.full_like(scores, -torch.inf)
        ended[:, self._eos] = 0.0
        return torch.where(full[:, None], ended, scores)


class Translator:
    """A loaded model. `translate` is not safe to call from two threads at once: `worker.py` sees to that."""

    def __init__(self, model: Any, tokenizer: Any, sha256: str) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._longest = int(model.config.max_position_embeddings)
        self.sha256 = sha256

    @classmethod
    def load(cls, folder: Path, threads: int = 1, beams: int = 0, allow_pickle: bool = False) -> Translator:
        """Read a directory into memory as 32-bit floats. Raises `StartError` when it cannot be used.

        `beams` 0 means: as the directory's generation_config.json says, else greedy.
        """
        file = weights_file(folder, allow_pickle)
        import torch

        torch.set_num_threads(threads)
        try:
            model, tokenizer = read(folder, file.suffix == ".safetensors")
        except Exception as error:  # whatever the libraries raise, the message must name the directory
            raise StartError(f"{folder} cannot be loaded: {type(error).__name__}: {error}") from error
        search = model.generation_config
        search.do_sample = False  # the same sentence has the same translation
        search.max_length = None  # `translate` gives each sentence its room
        search.num_beams = beams or search.num_beams or 1
        return cls(model, tokenizer, hashlib.sha256(file.read_bytes()).hexdigest())

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

        how: dict[str, Any] = {"return_tensors": "pt", "padding": True, "truncation": True, "max_length": self._longest}
        batch = self._tokenizer(sentences, split_special_tokens=True, **how)  # a `</s>` that a user writes is text
        lengths = batch["attention_mask"].sum(1)
        rooms = (2 * lengths + 10).clamp(max=self._longest - 2)
        end = self._model.config.eos_token_id
        with torch.inference_mode():
            written = self._model.generate(
                **batch, max_new_tokens=int(rooms.max()) + 1, logits_processor=[Room(rooms, end)]
            )
        texts = self._tokenizer.batch_decode(written, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        silent = {self._model.config.pad_token_id, end}
        pieces = sum(piece not in silent for row in written.tolist() for piece in row)
        return Translated([clean(text) for text in texts], int(lengths.sum()), pieces)


def read(folder: Path, safetensors: bool) -> tuple[Any, Any]:
    """The network and the tokenizer of a directory; ValueError where they are not of one piece.

    The library leaves a tensor that it does not find at random values, and says so in a warning.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config.get("model_type") != "marian":
        raise ValueError(f"config.json says model_type {config.get('model_type')!r}, not 'marian'")
    unlike = [key for key in UNLIKE if config.get(key)]
    if unlike:
        raise ValueError(f"config.json asks for {', '.join(unlike)}, which is not in the published form of Marian")
    warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")  # it would change nothing here
    import torch
    from transformers import MarianMTModel, MarianTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model, told = MarianMTModel.from_pretrained(
        folder, local_files_only=True, dtype=torch.float32, use_safetensors=safetensors, output_loading_info=True
    )
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if told.get(what):
            names = ", ".join(sorted(map(str, told[what]))[:3])
            raise ValueError(f"weights and config.json do not fit, {what.replace('_', ' ')}: {names}")
    tokenizer = MarianTokenizer.from_pretrained(folder, local_files_only=True)
    if len(tokenizer) > model.config.vocab_size:
        raise ValueError(f"the vocabulary has {len(tokenizer)} pieces, the weights {model.config.vocab_size}")
    return model.eval(), tokenizer
