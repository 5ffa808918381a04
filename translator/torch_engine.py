"""The network as transformers computes it with torch, in 32-bit floats: what every other engine is measured against."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from translator.errors import StartError
from translator.network import Rows, Written, room
from translator.tokenizer import LIBRARY

if TYPE_CHECKING:
    import torch

ENGINE = "torch"
# Options of other descendants of BART, which the library's Marian passes over in silence.
UNLIKE = ("normalize_before", "normalize_embedding", "add_final_layer_norm", "extra_pos_embeddings")


def weights_file(folder: Path, allow_pickle: bool = False) -> Path:
    """The file with the weights; raises `StartError` when the directory has none that may be read."""
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


class TorchNetwork:
    """A `Network` that torch computes."""

    engine = ENGINE

    def __init__(self, model: Any, sha256: str, threads: int) -> None:
        self._model = model
        self._threads = threads
        # Pieces that are never written have no part in the probability of the others.
        search = model.generation_config
        runs = [[piece] for piece in search.suppress_tokens or []] + list(search.bad_words_ids or [])
        self._unwritten = sorted({run[0] for run in runs if len(run) == 1})
        self.longest = int(model.config.max_position_embeddings)
        self.pieces = int(model.config.vocab_size)
        self.sha256 = sha256

    @classmethod
    def load(cls, folder: Path, threads: int = 1, beams: int = 0, allow_pickle: bool = False) -> TorchNetwork:
        """Read a directory into memory as 32-bit floats. Raises `StartError` when it cannot be used.

        `beams` 0 means: as the directory's generation_config.json says, else greedy.
        """
        file = weights_file(folder, allow_pickle)
        try:
            model = read(folder, file.suffix == ".safetensors")
        except Exception as error:  # whatever the libraries raise, the message must name the directory
            raise StartError(f"{folder} cannot be loaded: {type(error).__name__}: {error}") from error
        search = model.generation_config
        search.do_sample = False  # the same sentence has the same translation
        search.max_length = None  # `generate` gives each sentence its room
        search.num_beams = beams or search.num_beams or 1
        return cls(model, hashlib.sha256(file.read_bytes()).hexdigest(), threads)

    def generate(self, rows: Rows) -> Rows:
        """As `Network` says, in one forward."""
        return self._pieces(self._search(*self._batch(rows), rows))

    def write(self, rows: Rows) -> list[Written]:
        """As `Network` says; the library keeps no scores without all of them, so what was written is read once more."""
        import torch

        batch = self._batch(rows)
        ids = self._search(*batch, rows)
        silent = self._model.config.pad_token_id
        with torch.inference_mode():
            logits = self._model(*batch, decoder_input_ids=ids[:, :-1]).logits  # (rows, pieces, vocabulary)
            logits[..., self._unwritten] = -torch.inf
            logs = logits.log_softmax(-1).gather(-1, ids[:, 1:, None]).squeeze(-1)
            totals = logs.masked_fill(ids[:, 1:] == silent, 0.0).sum(1).tolist()
        return [Written(pieces, total) for pieces, total in zip(self._pieces(ids), totals, strict=True)]

    def _batch(self, rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids and mask, (rows, longest row) each."""
        import torch

        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)  # OpenMP keeps it per calling thread
        pad, width = self._model.config.pad_token_id, max(map(len, rows))
        lengths = torch.tensor([len(row) for row in rows])
        padded = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
        return padded, (torch.arange(width) < lengths[:, None]).long()

    def _search(self, ids: torch.Tensor, mask: torch.Tensor, rows: Rows) -> torch.Tensor:
        """What is written, (rows, pieces): start, pieces, end, padding."""
        import torch

        rooms = torch.tensor([room(row, self.longest) for row in rows])
        with torch.inference_mode():
            written: torch.Tensor = self._model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=int(rooms.max()) + 1,
                logits_processor=[Room(rooms, self._model.config.eos_token_id)],
            )
        return written

    def _pieces(self, written: torch.Tensor) -> Rows:
        silent = {self._model.config.pad_token_id, self._model.config.eos_token_id}
        return [[piece for piece in row if piece not in silent] for row in written[:, 1:].tolist()]


def read(folder: Path, safetensors: bool) -> Any:
    """The network of a directory; ValueError where weights and config.json are not of one piece.

    The library leaves a tensor that it does not find at random values, and says so in a warning.
    """
    demand_marian(folder)
    with LIBRARY:
        import torch
        from transformers import MarianMTModel
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
    return model.eval()


def demand_marian(folder: Path) -> None:
    """Raise ValueError where config.json asks for another network than Marian's published form."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config.get("model_type") != "marian":
        raise ValueError(f"config.json says model_type {config.get('model_type')!r}, not 'marian'")
    unlike = [key for key in UNLIKE if config.get(key)]
    if unlike:
        raise ValueError(f"config.json asks for {', '.join(unlike)}, which is not in the published form of Marian")
