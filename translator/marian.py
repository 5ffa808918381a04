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
        """Raises KeyError or ValueError when config and weights are not those of a Marian model."""
        if config.get("model_type", "marian") != "marian" or config.get("normalize_before"):
            raise ValueError("this is not a Marian model in the published form")
        self.width = int(config["d_model"])
        self.longest = int(config["max_position_embeddings"])
        self.pad = int(config["pad_token_id"])
        self.eos = int(config["eos_token_id"])
        self.start = int(config.get("decoder_start_token_id", self.pad))
        self._scale = math.sqrt(self.width) if config.get("scale_embedding") else 1.0
        activation = ACTIVATIONS[config["activation_function"]]

        def layers(side: str) -> list[Layer]:
            found = []
            for index in range(int(config[f"{side}_layers"])):
                prefix = f"model.{side}.layers.{index}."
                own = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
                found.append(Layer(own, int(config[f"{side}_attention_heads"]), activation))
            return found

        self._encoder, self._decoder = layers("encoder"), layers("decoder")
        shared = weights.get("model.shared.weight")
        self._source_table = weights["model.encoder.embed_tokens.weight"] if shared is None else shared
        self._target_table = weights["model.decoder.embed_tokens.weight"] if shared is None else shared
        tied = config.get("tie_word_embeddings", True) or "lm_head.weight" not in weights
        self._output = self._target_table if tied else weights["lm_head.weight"]
        self._bias = weights.get("final_logits_bias", torch.zeros(1, self._output.shape[0]))[0]
        self._positions = positions(self.longest, self.width)

    def encode(self, source: torch.Tensor, mask: torch.Tensor) -> Memory:
        """Read source ids (batch, pieces); `mask` is true where there is a piece, false where there is padding."""
        hidden = functional.embedding(source, self._source_table) * self._scale + self._positions[: source.shape[1]]
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
            functional.embedding(pieces[:, None], self._target_table) * self._scale + self._positions[memory.length]
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


def positions(longest: int, width: int) -> torch.Tensor:
    """Fixed positions (longest, width): sines in the first half of the columns, cosines in the second."""
    place = torch.arange(longest, dtype=torch.float64)[:, None]
    rate = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    return torch.cat((torch.sin(place * rate), torch.cos(place * rate)), 1).float()
