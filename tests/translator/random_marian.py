"""A Marian directory of random weights, small and of any shape; its rows are ids, so it needs no text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import MarianConfig, MarianMTModel

PIECES = 60
EOS, UNK, PAD = 0, 1, PIECES - 1
LONGEST = 48
SHAPE: dict[str, Any] = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": LONGEST,
    "activation_function": "swish",
    "scale_embedding": True,
    "init_std": 0.5,
    "vocab_size": PIECES,
    "pad_token_id": PAD,
    "eos_token_id": EOS,
    "bos_token_id": None,
    "decoder_start_token_id": PAD,
    "forced_eos_token_id": EOS,
}
ROWS = [[*range(2 + number, 4 + 2 * number), EOS] for number in range(12)]


def write(folder: Path, search: dict[str, Any] | None = None, **shape: Any) -> Path:
    """A directory with weights, config.json, generation_config.json and vocab.json."""
    torch.manual_seed(7)
    model = MarianMTModel(MarianConfig(**SHAPE | shape))
    model.final_logits_bias.normal_()
    with torch.no_grad():  # the library begins with zeros, and what was trained may have left them
        model.get_decoder().embed_tokens.weight[PAD].normal_()
    model.generation_config.update(**{"max_length": LONGEST} | (search or {}))
    model.save_pretrained(folder)
    write_vocabulary(folder / "vocab.json")
    return folder


def write_vocabulary(file: Path, pieces: int = PIECES, unknown: str = "<unk>") -> None:
    """As many pieces as the weights have rows, with the published form's special ones."""
    names = ["</s>", unknown, *(f"piece{number}" for number in range(2, pieces - 1)), "<pad>"]
    file.write_text(json.dumps({name: number for number, name in enumerate(names)}), encoding="utf-8")
