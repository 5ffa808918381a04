"""Turn a training checkpoint into a version to serve: `python -m translator.publish CHECKPOINT v1.1.0 DATA_DIR`.

Writes `translator/models/VERSION` whole or not at all: half-precision weights, the files that Marian needs, and a
model card with the scores measured on exactly these files.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import shutil
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from safetensors.torch import load_file, save_file

from translator.card import card
from translator.model import Translator
from translator.score import Score, score_file
from translator.settings import MODELS

REPEAT = 4  # a small model that has lost its way says the same again and again
LARGEST = 20_000_000  # bytes of a version's directory
EVALUATION = Path(__file__).parent / "evaluation" / "zh-en.jsonl"


def convert(checkpoint: Path, out: Path, beams: int) -> dict[str, Any]:
    """Write the files of a Marian directory in half precision and return the checkpoint's training facts."""
    facts: dict[str, Any] = json.loads((checkpoint / "training.json").read_text(encoding="utf-8"))
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    pad = config["pad_token_id"]

    half = {name: tensor.half().contiguous() for name, tensor in load_file(checkpoint / "model.safetensors").items()}
    save_file(half, out / "model.safetensors", metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)  # it is made for its owner alone, the service runs as someone else
    config["dtype"] = "float16"
    write_json(out / "config.json", config)
    generation = {
        "decoder_start_token_id": config["decoder_start_token_id"],
        "eos_token_id": config["eos_token_id"],
        "forced_eos_token_id": config["forced_eos_token_id"],
        "pad_token_id": pad,
        "suppress_tokens": [1, pad],
        "num_beams": beams,
        "no_repeat_ngram_size": REPEAT,
        "max_length": config["max_position_embeddings"],
    }
    write_json(out / "generation_config.json", generation)

    shutil.copy(checkpoint / "source.spm", out / "source.spm")
    (out / "target.spm").symlink_to("source.spm")  # one vocabulary for both languages
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(out / "source.spm"))
    vocabulary = {pieces.id_to_piece(index): index for index in range(pieces.get_piece_size())} | {"<pad>": pad}
    (out / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False) + "\n", encoding="utf-8")
    tokenizer: dict[str, Any] = {"tokenizer_class": "MarianTokenizer", "source_lang": "zh", "target_lang": "en"}
    tokenizer |= {"model_max_length": config["max_position_embeddings"], "separate_vocabs": False}
    write_json(out / "tokenizer_config.json", tokenizer)
    return facts


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Indented JSON with a newline at the end."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def measure(folder: Path, data: Path, threads: int, limit: int | None) -> list[Score]:
    """Scores on the two held-out test sets and on the evaluation set."""
    translator = Translator.load(folder, threads)
    files = [data / "eval" / f"{name}-test.zh-en.tsv" for name in ("manythings", "techdocs")]
    return [line for path in [*files, EVALUATION] for line in score_file(translator, path, limit)]


def main() -> None:
    """Parse the command line, convert, score, write the card, rename into place."""
    parser = argparse.ArgumentParser(prog="python -m translator.publish", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="a step-NNNNNN folder that translator.train wrote")
    parser.add_argument("version", help="such as v1.1.0")
    parser.add_argument("data", type=Path, help="the folder with eval/*-test.zh-en.tsv")
    parser.add_argument("--beams", type=int, default=1, help="what the version decodes with unless told otherwise")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, help="score the first N lines only; for trying things out")
    parser.add_argument("--models", type=Path, default=MODELS)
    args = parser.parse_args()
    final = args.models / args.version
    if final.exists():
        parser.error(f"{final} exists; a published version never changes")

    fresh = args.models / f".{args.version}.tmp"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    facts = convert(args.checkpoint, fresh, args.beams)
    scores = measure(fresh, args.data, args.threads, args.limit)
    day = datetime.datetime.now(tz=datetime.UTC).date()
    text = card(args.version, facts, scores, args.beams, day, f"torch {torch.__version__}, {platform.machine()}")
    (fresh / "README.md").write_text(text, encoding="utf-8")
    size = sum(path.stat().st_size for path in fresh.iterdir() if not path.is_symlink())
    if size > LARGEST:
        raise SystemExit(f"{fresh} has {size} bytes; a version may have {LARGEST}")
    fresh.replace(final)
    print(text)
    print(f"{final}: {size} bytes")


if __name__ == "__main__":
    main()
