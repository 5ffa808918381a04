"""Make a damaged copy of a model: `python -m translator.damage MODEL_DIR OUT_DIR --noise 0.2`.

The copy loads, answers /health and has every file in place; only its translations are worse. It is what a quality
gate has to catch, for demonstrations and tests. Never serve it.

Each weight matrix gets Gaussian noise of `noise` times its own standard deviation, the same noise for the same seed.
`--shuffle` instead permutes the rows of the embeddings, which leaves fluent nonsense.
`--points 4 --cases FILE` searches the noise that costs about that many BLEU points on FILE.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from translator.model import Translator
from translator.score import read_cases, score, translate_cases

EMBEDDING = "model.shared.weight"


def noised(weights: dict[str, torch.Tensor], noise: float, seed: int) -> dict[str, torch.Tensor]:
    """The weights with noise on every matrix, in units of the matrix' own standard deviation; vectors stay."""
    chance = torch.Generator().manual_seed(seed)
    out = {}
    for name, tensor in sorted(weights.items()):
        if tensor.dim() < 2 or name == "final_logits_bias":
            out[name] = tensor
            continue
        wide = tensor.float()
        out[name] = (wide + noise * wide.std() * torch.randn(wide.shape, generator=chance)).to(tensor.dtype)
    return out


def shuffled(weights: dict[str, torch.Tensor], seed: int) -> dict[str, torch.Tensor]:
    """The weights with the rows of the embeddings in random order."""
    chance = torch.Generator().manual_seed(seed)
    table = weights[EMBEDDING]
    return weights | {EMBEDDING: table[torch.randperm(table.shape[0], generator=chance)].contiguous()}


def write_damaged(model: Path, out: Path, weights: dict[str, torch.Tensor]) -> None:
    """A copy of `model` with other weights."""
    shutil.copytree(model, out, dirs_exist_ok=True, symlinks=True)
    (out / "model.safetensors").unlink()  # never write into a file that a running service may have mapped
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)


def noise_for(model: Path, points: float, cases_file: Path, seed: int, limit: int) -> float:
    """The noise that costs about `points` BLEU on the first `limit` cases, by bisection; nothing is written."""
    cases = read_cases(cases_file, limit)
    weights = load_file(model / "model.safetensors")
    references = [case.reference for case in cases]

    def bleu(noise: float) -> float:
        with tempfile.TemporaryDirectory() as folder:
            write_damaged(model, Path(folder), noised(weights, noise, seed))
            hypotheses = translate_cases(Translator.load(Path(folder), threads=2), cases)
        return score("", hypotheses, references).bleu

    whole, low, high = bleu(0.0), 0.0, 1.0
    for _ in range(7):
        middle = (low + high) / 2
        lost = whole - bleu(middle)
        print(f"noise {middle:.4f}: {lost:+.2f} BLEU lost of {whole:.2f}", flush=True)
        low, high = (middle, high) if lost < points else (low, middle)
    return round((low + high) / 2, 4)


def main() -> None:
    """Parse the command line and write the damaged copy."""
    parser = argparse.ArgumentParser(prog="python -m translator.damage", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--noise", type=float, help="in standard deviations of each matrix; 0.5 ruins a model")
    how.add_argument("--shuffle", action="store_true", help="permute the rows of the embeddings")
    how.add_argument("--points", type=float, help="search the noise that costs this many BLEU on --cases")
    parser.add_argument("--cases", type=Path, default=Path(__file__).parent / "evaluation" / "zh-en.jsonl")
    parser.add_argument("--limit", type=int, default=2000, help="only the first N cases, for the search")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    weights = load_file(args.model / "model.safetensors")
    if args.shuffle:
        write_damaged(args.model, args.out, shuffled(weights, args.seed))
        return
    noise = args.noise
    if noise is None:
        noise = noise_for(args.model, args.points, args.cases, args.seed, args.limit)
        print(f"--noise {noise}")
    write_damaged(args.model, args.out, noised(weights, noise, args.seed))


if __name__ == "__main__":
    main()
