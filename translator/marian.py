"""The Marian network for inference, from a directory's config.json and weights: an encoder, and a decoder step.

It computes what transformers' MarianMTModel computes (the tests hold the two against each other) without importing it,
which takes most of a start, and without its bookkeeping, which takes most of a short sentence. Post-norm Transformer,
fixed sinusoidal positions; the names of the weights are those of the published directories. Only torch is needed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn import functional

Weights = dict[str, torch.Tensor]
ACTIVATIONS = {"swish": functional.silu, "silu": functional.silu, "relu": functional.relu, "gelu": functional.gelu}
# Switches of the BART family that change what a network computes, with the one value that is computed here.
FIXED = {
    "normalize_before": False,
    "normalize_embedding": False,
    "add_final_layer_norm": False,
    "extra_pos_embeddings": 0,
}


@dataclass
class Layer:
    """One layer's weights by their short names, and its activation."""

    weights: Weights
    heads: int
    activation: Any

    def linear(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """x (…, in) through the named projection."""
        return functional.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """Layer norm over the last axis."""
        return functional.layer_norm(x, x.shape[-1:], self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def split(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """x (batch, pieces, width) projected to (batch, heads, pieces, width / heads)."""
        batch, pieces, width = x.shape
        return self.linear(name, x).view(batch, pieces, self.heads, width // self.heads).transpose(1, 2)

    def attend(
        self, name: str, x: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """x plus what it finds by attention, normed; keys and values as `split` gives them."""
        found = functional.scaled_dot_product_attention(self.split(f"{name}.q_proj", x), keys, values, attn_mask=mask)
        joined = found.transpose(1, 2).reshape(x.shape)
        return self.norm(f"{name}_layer_norm", x + self.linear(f"{name}.out_proj", joined))

    def feed(self, x: torch.Tensor) -> torch.Tensor:
        """x plus the feed-forward part, normed."""
        return self.norm("final_layer_norm", x + self.linear("fc2", self.activation(self.linear("fc1", x))))


@dataclass
class Memory:
    """What a decoder keeps between steps: keys and values of the source, and of the pieces written so far.

    Every tensor has the batch as its first axis, so that `select` can drop or repeat sentences.
    """

    mask: torch.Tensor
    source: list[tuple[torch.Tensor, torch.Tensor]]
    written: list[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=list)
    length: int = 0

    def select(self, rows: torch.Tensor) -> None:
        """Keep these rows, in this order, repeated if they are."""
        self.mask = self.mask[rows]
        self.source = [(keys[rows], values[rows]) for keys, values in self.source]
        self.written = [(keys[rows], values[rows]) for keys, values in self.written]


class Marian:
    """The network. All methods are for inference and expect `torch.inference_mode`."""

    def __init__(self, config: dict[str, Any], weights: Weights) -> None:
        """Raises KeyError or ValueError when config and weights are not those of a Marian model that is computed here.

        What is not understood is refused: a tensor that nobody reads is a part of the network that would be missing.
        """
        if config.get("model_type", "marian") != "marian":
            raise ValueError(f"config.json says model_type {config['model_type']!r}; only marian is computed here")
        for name, only in FIXED.items():
            if config.get(name, only) != only:
                raise ValueError(f"config.json says {name} {config[name]!r}; only {only!r} is computed here")
        self.width = int(config["d_model"])
        self.longest = int(config["max_position_embeddings"])
        self.pad = int(config["pad_token_id"])
        self.eos = int(config["eos_token_id"])
        self.start = int(config.get("decoder_start_token_id", self.pad))
        self._scale = math.sqrt(self.width) if config.get("scale_embedding") else 1.0
        if config["activation_function"] not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise ValueError(f"activation_function {config['activation_function']!r} is none of {known}")
        activation = ACTIVATIONS[config["activation_function"]]
        left = dict(weights)

        def layers(side: str, attentions: tuple[str, ...]) -> list[Layer]:
            found = []
            for index in range(int(config[f"{side}_layers"])):
                prefix = f"model.{side}.layers.{index}."
                own = {name: left.pop(prefix + name) for name in parts(attentions)}
                found.append(Layer(own, int(config[f"{side}_attention_heads"]), activation))
            return found

        self._encoder = layers("encoder", ("self_attn",))
        self._decoder = layers("decoder", ("self_attn", "encoder_attn"))
        self._tables(config, left)
        self._source_positions = self._positions("encoder", left)
        self._target_positions = self._positions("decoder", left)
        if left:
            raise ValueError(f"weights that no part of a Marian network reads: {', '.join(sorted(left)[:5])}")

    def _tables(self, config: dict[str, Any], left: Weights) -> None:
        """Embeddings and output projection, in one table, two or three as the config says; takes them out of `left`.

        A file may hold a shared table under any of its names, or under several.
        """
        names = ("model.shared", "model.encoder.embed_tokens", "model.decoder.embed_tokens", "lm_head")
        shared, source, target, output = (left.pop(f"{name}.weight", None) for name in names)
        tied = config.get("tie_word_embeddings", True)
        if config.get("share_encoder_decoder_embeddings", True):
            if not tied:
                raise ValueError("share_encoder_decoder_embeddings without tie_word_embeddings is not computed here")
            source = target = output = one_table(shared, source, target, output)
        elif tied:
            target = output = one_table(target, output)
        if source is None or target is None or output is None:
            raise ValueError("the weights hold no embeddings for the source, the target or the output")
        if len(target) != len(output):
            raise ValueError(f"{len(target)} pieces can be read by the decoder and {len(output)} written")
        self._source_table, self._target_table, self._output = source, target, output
        bias = left.pop("final_logits_bias", None)
        self._bias = torch.zeros(len(output)) if bias is None else bias.reshape(-1)
        if self._bias.shape != output.shape[:1]:
            raise ValueError(f"final_logits_bias has {len(self._bias)} entries for {len(output)} pieces")

    @property
    def sizes(self) -> tuple[int, int]:
        """How many pieces the source table and the output have."""
        return len(self._source_table), len(self._output)

    def _positions(self, side: str, left: Weights) -> torch.Tensor:
        """The side's positions: those of the weights where they are stored, else sines and cosines."""
        stored = left.pop(f"model.{side}.embed_positions.weight", None)
        if stored is None:
            return positions(self.longest, self.width)
        if stored.shape != (self.longest, self.width):
            raise ValueError(f"{side} positions are {tuple(stored.shape)}, not {(self.longest, self.width)}")
        return stored

    def encode(self, source: torch.Tensor, mask: torch.Tensor) -> Memory:
        """Read source ids (batch, pieces); `mask` is true where there is a piece, false where there is padding."""
        hidden = (
            functional.embedding(source, self._source_table) * self._scale + self._source_positions[: source.shape[1]]
        )
        seen = mask[:, None, None, :]
        for layer in self._encoder:
            keys, values = layer.split("self_attn.k_proj", hidden), layer.split("self_attn.v_proj", hidden)
            hidden = layer.feed(layer.attend("self_attn", hidden, keys, values, seen))
        held = [
            (layer.split("encoder_attn.k_proj", hidden), layer.split("encoder_attn.v_proj", hidden))
            for layer in self._decoder
        ]
        return Memory(seen, held)

    def step(self, pieces: torch.Tensor, memory: Memory) -> torch.Tensor:
        """Append one piece id to each sentence (batch,) and return the scores of the next, (batch, vocabulary)."""
        hidden = (
            functional.embedding(pieces[:, None], self._target_table) * self._scale
            + self._target_positions[memory.length]
        )
        for index, layer in enumerate(self._decoder):
            keys, values = layer.split("self_attn.k_proj", hidden), layer.split("self_attn.v_proj", hidden)
            if memory.length:
                before = memory.written[index]
                keys, values = torch.cat((before[0], keys), 2), torch.cat((before[1], values), 2)
                memory.written[index] = keys, values
            else:
                memory.written.append((keys, values))
            hidden = layer.attend("self_attn", hidden, keys, values, None)
            hidden = layer.feed(layer.attend("encoder_attn", hidden, *memory.source[index], memory.mask))
        memory.length += 1
        return functional.linear(hidden[:, 0], self._output, self._bias)


def one_table(*stored: torch.Tensor | None) -> torch.Tensor | None:
    """The one table that the config says these are; raises ValueError where the file holds different ones."""
    there = [table for table in stored if table is not None]
    if any(not torch.equal(there[0], table) for table in there[1:]):
        raise ValueError("config.json says that embeddings are shared, and the weights hold different ones")
    return there[0] if there else None


def parts(attentions: tuple[str, ...]) -> list[str]:
    """The names of a layer's tensors, given those of its attentions."""
    norms = [*(f"{name}_layer_norm" for name in attentions), "final_layer_norm"]
    linears = [f"{name}.{part}_proj" for name in attentions for part in ("q", "k", "v", "out")]
    return [f"{name}.{kind}" for name in [*norms, *linears, "fc1", "fc2"] for kind in ("weight", "bias")]


def positions(longest: int, width: int) -> torch.Tensor:
    """Fixed positions (longest, width): sines in the first half of the columns, cosines in the second."""
    place = torch.arange(longest, dtype=torch.float64)[:, None]
    rate = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    return torch.cat((torch.sin(place * rate), torch.cos(place * rate)), 1).float()
