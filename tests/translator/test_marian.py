"""The network and its search against the reference: transformers' MarianMTModel and MarianTokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import MarianConfig, MarianMTModel, MarianTokenizer

from translator.marian import Marian
from translator.model import Translator, read_weights
from translator.pieces import Pieces
from translator.score import read_cases
from translator.settings import MODELS, served_model

SHIPPED = served_model(MODELS)
SENTENCES = [case.source for case in read_cases(MODELS.parent / "evaluation" / "zh-en.jsonl")[::90]]
KINDS: dict[str, dict[str, Any]] = {
    "as the shipped ones": {},
    "as large ones": {"encoder_layers": 3, "decoder_layers": 3, "decoder_attention_heads": 8},
    "relu": {"activation_function": "relu", "scale_embedding": False},
    "two tables": {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": 41, "tie_word_embeddings": False},
}


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_the_reference(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(3)
    sizes = {"d_model": 32, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "encoder_layers": 2, "decoder_layers": 1}
    heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "activation_function": "swish"}
    ids = {"vocab_size": 51, "pad_token_id": 40, "decoder_start_token_id": 40, "eos_token_id": 0, "init_std": 0.4}
    settings = sizes | heads | ids | {"scale_embedding": True, "max_position_embeddings": 32}
    reference = MarianMTModel(MarianConfig(**(settings | KINDS[kind]))).eval()
    reference.final_logits_bias.normal_()
    reference.save_pretrained(tmp_path)
    net = Marian(json.loads((tmp_path / "config.json").read_text()), load_file(tmp_path / "model.safetensors"))

    source = torch.tensor([[5, 6, 7, 8, 0], [9, 10, 0, 40, 40]])
    mask = source != 40
    target = torch.tensor([[40, 3, 4, 5], [40, 8, 9, 30]])
    with torch.inference_mode():
        memory = net.encode(source, mask)
        steps = torch.stack([net.step(column, memory) for column in target.unbind(1)], 1)
        expected = reference(input_ids=source, attention_mask=mask.long(), decoder_input_ids=target).logits
    assert torch.allclose(steps, expected, atol=1e-4)


def test_greedy_translations_are_those_of_the_reference() -> None:
    reference = MarianMTModel.from_pretrained(SHIPPED, local_files_only=True, dtype=torch.float32).eval()
    tokenizer = MarianTokenizer.from_pretrained(SHIPPED, local_files_only=True)
    expected = []
    for sentence in SENTENCES:
        batch = tokenizer([sentence], return_tensors="pt")
        room = 2 * batch["input_ids"].shape[1] + 10
        ids = reference.generate(**batch, num_beams=1, max_new_tokens=room + 1, max_length=None)
        expected.append(tokenizer.batch_decode(ids, skip_special_tokens=True)[0].split())
    assert [line.split() for line in Translator.load(SHIPPED, beams=1).translate(SENTENCES).lines] == expected


def test_beam_search_finds_what_the_reference_finds() -> None:
    """With early stopping, which ends as soon as there are as many finished sentences as beams."""
    reference = MarianMTModel.from_pretrained(SHIPPED, local_files_only=True, dtype=torch.float32).eval()
    tokenizer = MarianTokenizer.from_pretrained(SHIPPED, local_files_only=True)
    expected = []
    for sentence in SENTENCES:
        batch = tokenizer([sentence], return_tensors="pt")
        room = 2 * batch["input_ids"].shape[1] + 10
        how = {"num_beams": 4, "early_stopping": True, "renormalize_logits": True}
        ids = reference.generate(**batch, max_new_tokens=room + 1, max_length=None, **how)
        expected.append(tokenizer.batch_decode(ids, skip_special_tokens=True)[0].split())
    assert [line.split() for line in Translator.load(SHIPPED, beams=4).translate(SENTENCES).lines] == expected


def test_ids_are_those_of_the_reference() -> None:
    tokenizer = MarianTokenizer.from_pretrained(SHIPPED, local_files_only=True)
    pieces = Pieces(SHIPPED, tokenizer.eos_token_id, tokenizer.pad_token_id)
    for sentence in [*SENTENCES, "ｆｕｌｌ　ｗｉｄｔｈ", "饕餮 😀", "１２３"]:
        assert pieces.encode(sentence, 256) == tokenizer(sentence)["input_ids"]
        assert len(pieces.encode(sentence * 40, 64)) <= 64


@pytest.mark.parametrize("beams", [1, 4])
def test_a_translation_does_not_depend_on_its_neighbours(beams: int) -> None:
    translator = Translator.load(SHIPPED, beams=beams)
    alone = [translator.translate([sentence]).lines[0] for sentence in SENTENCES]
    assert translator.translate(SENTENCES).lines == alone
    assert translator.translate(SENTENCES[::-1]).lines == alone[::-1]


def test_beam_search_finds_sentences_at_least_as_likely() -> None:
    """Its own measure is the mean log-probability; over a set it must not fall behind greedy search."""
    config = json.loads((SHIPPED / "config.json").read_text(encoding="utf-8"))
    weights = {name: tensor.float() for name, tensor in read_weights(SHIPPED / "model.safetensors").items()}
    net = Marian(config, weights)
    pieces = Pieces(SHIPPED, net.eos, net.pad)

    def likelihood(sentence: str, translation: str) -> float:
        source = torch.tensor([pieces.encode(sentence, 256)])
        target = [*pieces._target.encode(translation, out_type=str)]
        ids = [pieces._ids.get(piece, pieces.unknown) for piece in target] + [net.eos]
        with torch.inference_mode():
            memory = net.encode(source, torch.ones_like(source, dtype=torch.bool))
            steps = [net.step(torch.tensor([piece]), memory) for piece in [net.start, *ids[:-1]]]
        chances = torch.log_softmax(torch.cat(steps), 1)
        return float(chances[range(len(ids)), ids].mean())

    found = {}
    for beams in (1, 4):
        lines = Translator.load(SHIPPED, beams=beams).translate(SENTENCES).lines
        found[beams] = sum(likelihood(s, line) for s, line in zip(SENTENCES, lines, strict=True) if line)
    assert found[4] > found[1]


def test_a_language_mark_becomes_one_piece(tmp_path: Path) -> None:
    for name in ("source.spm", "target.spm"):
        (tmp_path / name).symlink_to(SHIPPED / name)
    vocabulary = json.loads((SHIPPED / "vocab.json").read_text(encoding="utf-8")) | {">>eng<<": 8001}
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    pieces = Pieces(tmp_path, 0, 8000)
    assert pieces.encode(">>eng<<你好", 256) == [8001, *pieces.encode("你好", 256)]
