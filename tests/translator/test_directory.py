"""A production directory by path: made as OPUS-MT publishes them, served as its options say, or refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
from safetensors.torch import load_file, save_file
from transformers import MarianConfig, MarianMTModel, MarianTokenizer

from translator.errors import StartError
from translator.model import Translator

# What the config.json of opus-mt-zh-en says beside its sizes.
PUBLISHED: dict[str, Any] = {
    "activation_function": "swish",
    "add_bias_logits": False,
    "add_final_layer_norm": False,
    "bos_token_id": 0,
    "classif_dropout": 0.0,
    "eos_token_id": 0,
    "extra_pos_embeddings": 0,
    "forced_eos_token_id": 0,
    "init_std": 0.25,
    "is_encoder_decoder": True,
    "max_position_embeddings": 96,
    "model_type": "marian",
    "normalize_before": False,
    "normalize_embedding": False,
    "scale_embedding": True,
    "static_position_embeddings": True,
}
SIZES = {"d_model": 32, "encoder_ffn_dim": 64, "decoder_ffn_dim": 48, "encoder_layers": 3, "decoder_layers": 2}
HEADS = {"encoder_attention_heads": 4, "decoder_attention_heads": 8}
# The last but one has pieces that the vocabulary lacks.
SENTENCES = ["今天天气很好。", "请把这份文件放在桌子上。", "安装之后重新启动服务器。", "饕餮 😀", "我不知道。"]
REFERENCES = [
    "The weather is fine.",
    "Put this file on the desk.",
    "Restart the server then.",
    "What?",
    "I do not know.",
]
STEPS = 120


def learn_a_little(model: MarianMTModel, folder: Path) -> None:
    """So much that sentences end by themselves, and so little that the search has a choice."""
    tokenizer = MarianTokenizer.from_pretrained(folder, local_files_only=True)
    batch = tokenizer(SENTENCES, text_target=REFERENCES, return_tensors="pt", padding=True)
    batch["labels"][batch["labels"] == model.config.pad_token_id] = -100
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(STEPS):
        model(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model in the published form: two sentencepiece models, a joint vocabulary with ids of its own."""
    folder = tmp_path_factory.mktemp("opus-mt-zh-en")
    cases = Path(__file__).parents[2] / "translator/evaluation/zh-en.jsonl"
    rows = [json.loads(line) for line in cases.read_text(encoding="utf-8").splitlines()]
    names: list[str] = []
    for side, key, size in (("source", "source", 1600), ("target", "reference", 400)):
        (folder / "text").write_text("\n".join(row[key] for row in rows), encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            input=str(folder / "text"), model_prefix=str(folder / side), vocab_size=size, hard_vocab_limit=False,
            character_coverage=0.98, minloglevel=2, num_threads=1,
        )  # fmt: skip
        (folder / f"{side}.model").rename(folder / f"{side}.spm")
        side_model = sentencepiece.SentencePieceProcessor(model_file=str(folder / f"{side}.spm"))
        names += [side_model.id_to_piece(index) for index in range(3, side_model.get_piece_size())]
    (folder / "text").unlink()
    ordered = ["</s>", "<unk>", *sorted(set(names), reverse=True), "<pad>"]  # sentencepiece counts otherwise
    (folder / "vocab.json").write_text(json.dumps({name: index for index, name in enumerate(ordered)}))
    (folder / "tokenizer_config.json").write_text('{"source_lang": "zh", "target_lang": "en", "model_max_length": 96}')
    torch.manual_seed(7)
    pad = len(ordered) - 1
    ids = {"vocab_size": len(ordered), "pad_token_id": pad, "decoder_start_token_id": pad}
    model = MarianMTModel(MarianConfig(**(PUBLISHED | SIZES | HEADS | ids)))
    model.final_logits_bias.normal_()
    learn_a_little(model, folder)
    model.generation_config.update(bad_words_ids=[[pad]], num_beams=4, max_length=96, renormalize_logits=True)
    model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(PUBLISHED | config))
    return folder


@pytest.fixture
def copy(published: Path, tmp_path: Path) -> Path:
    """A directory to change."""
    return Path(shutil.copytree(published, tmp_path / "model"))


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def agree(folder: Path, beams: int = 0, **options: Any) -> set[str]:
    """Hold translations of a batch against the library's, one sentence at a time, and return them.

    Spaces are left out: the service puts none before a full stop, and what it cleans is tested elsewhere.
    """
    model = MarianMTModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32).eval()
    tokenizer = MarianTokenizer.from_pretrained(folder, local_files_only=True)
    lines = Translator.load(folder, beams=beams).translate(SENTENCES).lines
    same = set()
    for sentence, line in zip(SENTENCES, lines, strict=True):
        batch = tokenizer([sentence], return_tensors="pt")
        ids = model.generate(**batch, max_new_tokens=2 * batch["input_ids"].shape[1] + 11, max_length=None, **options)
        expected = "".join(tokenizer.batch_decode(ids, skip_special_tokens=True)[0].split())
        assert "".join(line.split()) == expected
        same.add(expected)
    return same


@pytest.mark.parametrize("beams", [1, 2, 4])
def test_a_published_directory_translates_as_the_reference_does(published: Path, beams: int) -> None:
    assert len(agree(published, beams, num_beams=beams)) > 2


def test_it_searches_as_the_directory_says(copy: Path) -> None:
    change(copy / "generation_config.json", length_penalty=0.4, num_beams=3, no_repeat_ngram_size=2)
    assert len(agree(copy)) > 2


def test_an_older_directory_says_so_in_its_config(copy: Path) -> None:
    expected = Translator.load(copy).translate(SENTENCES).lines
    said = json.loads((copy / "generation_config.json").read_text())
    (copy / "generation_config.json").unlink()
    change(copy / "config.json", num_beams=said["num_beams"], bad_words_ids=said["bad_words_ids"])
    assert Translator.load(copy).translate(SENTENCES).lines == expected


def test_weights_of_an_older_directory_carry_their_positions(copy: Path) -> None:
    """Files of that time hold the tables of positions, and the one table of embeddings under all of its names."""
    expected = Translator.load(copy).translate(SENTENCES).lines
    model = MarianMTModel.from_pretrained(copy, local_files_only=True)
    torch.save(model.state_dict(), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    with pytest.raises(StartError, match="pickled weights"):
        Translator.load(copy)
    assert Translator.load(copy, allow_pickle=True).translate(SENTENCES).lines == expected


def test_the_target_may_have_a_vocabulary_and_a_table_of_its_own(copy: Path) -> None:
    vocabulary = json.loads((copy / "vocab.json").read_text())
    last = len(vocabulary) - 1
    target = {name: index if index in (0, 1, last) else last + 1 - index for name, index in vocabulary.items()}
    (copy / "target_vocab.json").write_text(json.dumps(target))
    change(copy / "tokenizer_config.json", separate_vocabs=True)
    change(copy / "config.json", share_encoder_decoder_embeddings=False, decoder_vocab_size=last + 1)
    weights = load_file(copy / "model.safetensors")
    shared = weights.pop("model.shared.weight")
    tables = {"model.encoder.embed_tokens.weight": shared, "model.decoder.embed_tokens.weight": shared.flip(1).clone()}
    save_file(weights | tables, copy / "model.safetensors", metadata={"format": "pt"})
    assert len(agree(copy, 1, num_beams=1)) > 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model_type", "bart"),
        ("normalize_before", True),
        ("normalize_embedding", True),
        ("add_final_layer_norm", True),
        ("extra_pos_embeddings", 2),
        ("activation_function", "no_such_function"),
        ("tie_word_embeddings", False),
        ("encoder_layers", 2),
        ("encoder_layers", 4),
    ],
)
def test_a_network_that_is_not_computed_here_is_refused(copy: Path, name: str, value: object) -> None:
    change(copy / "config.json", **{name: value})
    with pytest.raises(StartError, match=str(copy)):
        Translator.load(copy)


def test_the_same_sentence_has_the_same_translation_even_where_the_directory_says_to_sample(copy: Path) -> None:
    change(copy / "generation_config.json", do_sample=True, temperature=5.0, num_beams=1)
    translator = Translator.load(copy)
    assert len({tuple(translator.translate(SENTENCES).lines) for _ in range(5)}) == 1


def test_weights_that_nothing_reads_are_refused_by_their_names(copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    extra = {"model.encoder.layernorm_embedding.weight": torch.ones(32)}
    save_file(weights | extra, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(StartError, match="layernorm_embedding"):
        Translator.load(copy)


def test_a_vocabulary_beyond_the_weights_is_refused(copy: Path) -> None:
    vocabulary = json.loads((copy / "vocab.json").read_text())
    (copy / "vocab.json").write_text(json.dumps(vocabulary | {"one more": len(vocabulary)}))
    with pytest.raises(StartError, match="vocabulary"):
        Translator.load(copy)


@pytest.mark.parametrize("beams", [1, 4])
def test_a_translation_does_not_depend_on_its_neighbours(copy: Path, beams: int) -> None:
    """Nor does its length: a short sentence that never ends is cut where it would be cut alone."""
    weights = load_file(copy / "model.safetensors")
    weights["final_logits_bias"][:, 0] = -1e6  # no sentence ends by itself
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    translator = Translator.load(copy, beams=beams)
    alone = [translator.translate([sentence]).lines[0] for sentence in SENTENCES]
    assert translator.translate(SENTENCES).lines == alone
    assert translator.translate(SENTENCES[::-1]).lines == alone[::-1]


def test_a_text_beyond_the_positions_is_cut_and_answered(copy: Path) -> None:
    found = Translator.load(copy).translate([SENTENCES[1] * 50])
    assert found.source_tokens == 96


def test_a_language_mark_is_one_piece(copy: Path) -> None:
    """A multilingual model is told its target by a first piece such as >>eng<<."""
    vocabulary = json.loads((copy / "vocab.json").read_text())
    names = {index: name for name, index in vocabulary.items()}
    vocabulary[">>eng<<"] = vocabulary.pop(names[5])
    (copy / "vocab.json").write_text(json.dumps(vocabulary))
    translator = Translator.load(copy)
    plain, marked = (translator.translate([text]).source_tokens for text in (SENTENCES[0], ">>eng<<" + SENTENCES[0]))
    assert marked == plain + 1


def test_a_special_token_that_a_user_writes_is_text(published: Path) -> None:
    """Its pieces are many, and those of the mark itself one."""
    translator = Translator.load(published, beams=1)
    plain = translator.translate(["天"]).source_tokens
    for mark in ("</s>", "<pad>"):
        assert translator.translate([f"天{mark}"]).source_tokens > plain + 1
