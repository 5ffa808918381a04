"""How a Marian directory wants its sentences searched for: what it says is done, or the directory is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What would change a translation and is not done here, with the values that ask for nothing.
REFUSED: dict[str, tuple[Any, ...]] = {
    "do_sample": (False,),
    "num_beam_groups": (1,),
    "diversity_penalty": (0,),
    "penalty_alpha": (0,),
    "repetition_penalty": (1,),
    "encoder_repetition_penalty": (1,),
    "encoder_no_repeat_ngram_size": (0,),
    "min_length": (0,),
    "min_new_tokens": (0,),
    "guidance_scale": (1,),
    "exponential_decay_length_penalty": (),
    "forced_bos_token_id": (),
    "forced_decoder_ids": ([],),
    "begin_suppress_tokens": ([],),
    "sequence_bias": ({}, []),
    "force_words_ids": ([],),
    "constraints": ([],),
}
IDS = ("decoder_start_token_id", "eos_token_id", "pad_token_id")


@dataclass(frozen=True)
class Search:
    """How a model looks for a translation."""

    beams: int = 1
    repeat: int = 0  # runs of so many pieces may not occur twice in a sentence; 0: they may
    penalty: float = 1.0  # a sentence's log-probability is divided by its length to this power
    never: tuple[int, ...] = ()  # pieces that no sentence may have

    @classmethod
    def read(cls, folder: Path, beams: int) -> Search:
        """As generation_config.json says, in older directories config.json; `beams` other than 0 goes before it.

        Raises ValueError for a setting that would change translations and is not done here.
        """
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        file = folder / "generation_config.json"
        said = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else config
        for name, neutral in REFUSED.items():
            if said.get(name) is not None and said[name] not in neutral:
                raise ValueError(f"{name} {said[name]!r} is asked for and is not done here")
        for name in IDS:
            if said.get(name, config.get(name)) != config.get(name, said.get(name)):
                raise ValueError(f"{name} is {said[name]!r} in {file.name} and {config[name]!r} in config.json")
        words: list[list[int]] = said.get("bad_words_ids") or []
        if any(len(word) != 1 for word in words):
            raise ValueError("bad_words_ids of more than one piece are not banned here")
        return cls(
            beams=beams or int(said.get("num_beams") or 1),
            repeat=int(said.get("no_repeat_ngram_size") or 0),
            penalty=1.0 if said.get("length_penalty") is None else float(said["length_penalty"]),
            never=tuple(sorted({*(said.get("suppress_tokens") or []), *(word[0] for word in words)})),
        )
