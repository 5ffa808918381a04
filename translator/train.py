"""Train a Marian model within a given time: `python -m translator.train DATA_DIR OUT_DIR --minutes 100`.

The learning rate falls linearly over the wall clock, so that a run lands well on a slow machine and on a fast one.
Every few minutes an averaged checkpoint appears in OUT_DIR with its scores on the two development files.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sacrebleu
import sentencepiece
import torch
from transformers import MarianConfig, MarianMTModel

from translator.corpus import EOS, Encoded, Pair, batches, encode, read_pairs, read_training, train_pieces

PAD = -100


def build_model(vocabulary: int, args: argparse.Namespace) -> Any:
    """A fresh model with tied embeddings; the padding id is the last of the vocabulary, as in OPUS-MT."""
    config = MarianConfig(
        vocab_size=vocabulary,
        d_model=args.width,
        encoder_layers=args.encoder_layers,
        decoder_layers=args.decoder_layers,
        encoder_attention_heads=args.heads,
        decoder_attention_heads=args.heads,
        encoder_ffn_dim=args.width * 4,
        decoder_ffn_dim=args.width * 4,
        max_position_embeddings=256,
        activation_function="swish",
        dropout=args.dropout,
        attention_dropout=0.0,
        activation_dropout=0.0,
        scale_embedding=True,
        share_encoder_decoder_embeddings=True,
        tie_word_embeddings=True,
        eos_token_id=EOS,
        forced_eos_token_id=EOS,
        pad_token_id=vocabulary - 1,
        decoder_start_token_id=vocabulary - 1,
        init_std=args.width**-0.5,
    )
    config._attn_implementation = args.attention
    return MarianMTModel(config)


def tensors(batch: list[Encoded], pad: int, device: torch.device) -> tuple[torch.Tensor, ...]:
    """Source ids, source mask, decoder input and labels of a batch, each (pairs, pieces)."""
    width = max(len(pair.source) for pair in batch)
    height = max(len(pair.target) for pair in batch)
    source = torch.tensor([pair.source + [pad] * (width - len(pair.source)) for pair in batch])
    labels = torch.tensor([pair.target + [PAD] * (height - len(pair.target)) for pair in batch])
    shifted = torch.tensor([[pad, *pair.target[:-1]] + [pad] * (height - len(pair.target)) for pair in batch])
    return tuple(t.to(device) for t in (source, (source != pad).long(), shifted, labels))


class SmoothedLoss(torch.autograd.Function):
    """Mean label-smoothed cross-entropy of hidden (tokens, width) against weight (pieces, width).

    The gradient of the logits is known in closed form, softmax minus smoothed target, and is made in the forward
    pass: the large (tokens, pieces) table is walked a third as often as by composed operations.
    """

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, gold: torch.Tensor, smoothing: float) -> Any:
        """Return the loss, a scalar in nats a token."""
        weight = weight.to(hidden.dtype)
        logits = (hidden @ weight.t()).float()
        rows, size = logits.shape
        at_gold = logits.gather(1, gold[:, None])
        mean = logits.mean(1, keepdim=True)
        log_sum = logits.logsumexp(1, keepdim=True)
        loss = (log_sum - (1 - smoothing) * at_gold - smoothing * mean).mean()
        slope = logits.sub_(log_sum).exp_().sub_(smoothing / size)
        slope.scatter_add_(1, gold[:, None], torch.full_like(at_gold, smoothing - 1))
        ctx.save_for_backward(hidden, weight, slope.mul_(1 / rows).to(hidden.dtype))
        return loss

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        """Gradients of hidden and weight."""
        hidden, weight, slope = ctx.saved_tensors
        return upstream[0] * (slope @ weight), upstream[0] * (slope.t() @ hidden).float(), None, None


def loss_of(model: Any, batch: tuple[torch.Tensor, ...], smoothing: float, bf16: bool) -> torch.Tensor:
    """Mean loss over real target pieces; the vocabulary is projected for those alone."""
    source, mask, shifted, labels = batch
    hidden = model.model(input_ids=source, attention_mask=mask, decoder_input_ids=shifted, use_cache=False)[0]
    real = labels != PAD
    chosen = hidden[real].to(torch.bfloat16 if bf16 else torch.float32)
    apply: Any = SmoothedLoss.apply  # untyped in torch
    loss: torch.Tensor = apply(chosen, model.lm_head.weight, labels[real], smoothing)
    return loss


@torch.no_grad()
def dev_scores(
    model: Any, pieces: sentencepiece.SentencePieceProcessor, dev: dict[str, list[Pair]], device: torch.device
) -> dict[str, float]:
    """BLEU by development file, greedy."""
    model.eval()
    scores = {}
    pad = model.config.pad_token_id
    for name, pairs in dev.items():
        lines: dict[int, str] = {}
        order = sorted(range(len(pairs)), key=lambda i: len(pairs[i].source))
        for start in range(0, len(order), 50):
            chosen = order[start : start + 50]
            batch = [Encoded([*pieces.encode(pairs[i].source)[:120], EOS], [EOS]) for i in chosen]
            source, mask, _, _ = tensors(batch, pad, device)
            out = model.generate(
                input_ids=source, attention_mask=mask, max_new_tokens=80, num_beams=1, bad_words_ids=[[pad], [1]]
            )
            for i, ids in zip(chosen, out.tolist(), strict=True):
                lines[i] = pieces.decode([t for t in ids if t not in (pad, EOS)])
        hypotheses = [lines[i] for i in range(len(pairs))]
        scores[name] = sacrebleu.corpus_bleu(hypotheses, [[pair.target for pair in pairs]]).score
    model.train()
    return scores


def write_checkpoint(folder: Path, model: Any, pieces: Path, facts: dict[str, Any], state: dict[str, Any]) -> None:
    """Write `folder` under a temporary name, then rename it: a reader never sees half a checkpoint."""
    fresh = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(fresh, ignore_errors=True)
    model.save_pretrained(fresh)
    shutil.copy(pieces, fresh / "source.spm")
    (fresh / "training.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    torch.save(state, folder.parent / "state.tmp")
    (folder.parent / "state.tmp").replace(folder.parent / "state.pt")
    fresh.replace(folder)
    with (folder.parent / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(facts) + "\n")
    print(json.dumps(facts), flush=True)


def endless(encoded: list[Encoded], tokens: int, seed: int) -> Iterator[list[Encoded]]:
    """Pass after pass over the training pairs."""
    while True:
        yield from batches(encoded, tokens, seed)
        seed += 1


def train(args: argparse.Namespace) -> None:
    """Train until the time is up; the last checkpoint is the finished one."""
    began = time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    training = read_training(args.data / "train")
    spm = args.out / "pieces.model"
    if not spm.exists():
        train_pieces(training, spm, args.pieces)
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(spm))
    encoded = encode(pieces, training, args.max_pieces)
    target = sum(len(pair.target) for pair in encoded)
    print(f"{len(encoded)} pairs, {target} target pieces a pass, {time.monotonic() - began:.0f} s", flush=True)
    chance = random.Random(7)
    dev = {p.name.split(".")[0]: read_pairs(p) for p in sorted((args.data / "eval").glob("*-dev.zh-en.tsv"))}
    dev = {name: chance.sample(pairs, min(args.dev_lines, len(pairs))) for name, pairs in dev.items()}

    model = build_model(pieces.get_piece_size() + 1, args).to(device)
    average = copy.deepcopy(model)
    optimiser = torch.optim.AdamW(model.parameters(), lr=args.peak, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    step, seen, spent = 0, 0, 0.0
    if (args.out / "state.pt").exists():
        state = torch.load(args.out / "state.pt", map_location=device)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step, seen, spent = state["step"], state["seen"], state["spent"]
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{parameters} parameters on {device}, from step {step}", flush=True)

    began -= spent
    budget, every = args.minutes * 60, args.every * 60
    next_checkpoint, running = spent + every, 0.0
    model.train()
    for batch in endless(encoded, args.tokens, args.seed + step):
        elapsed = time.monotonic() - began
        left = max(1.0 - elapsed / budget, 0.0)
        rate = args.peak * min((step + 1) / args.warmup, 1.0) * max(left, 0.01)
        for group in optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=args.bf16):
            loss = loss_of(model, tensors(batch, model.config.pad_token_id, device), args.smoothing, args.bf16)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        step += 1
        seen += sum(len(pair.target) for pair in batch)
        running = loss.item() if step == 1 else 0.99 * running + 0.01 * loss.item()
        if step % 10 == 0:
            decay = min(0.98, step / (step + 100))
            with torch.no_grad():
                torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
        if step % 200 == 0:
            print(f"step {step} loss {running:.3f} rate {rate:.2e} {seen} pieces {elapsed:.0f} s", flush=True)
        if elapsed >= next_checkpoint or elapsed >= budget:
            next_checkpoint += every
            facts: dict[str, Any] = {"step": step, "seconds": round(elapsed), "target_pieces": seen, "loss": running}
            facts |= {"parameters": parameters, "passes": round(seen / target, 2)}
            facts |= {"settings": {k: str(v) for k, v in vars(args).items() if k not in ("data", "out")}}
            facts["dev_bleu_greedy"] = dev_scores(average, pieces, dev, device)
            state = {"model": model.state_dict(), "average": average.state_dict(), "step": step, "seen": seen}
            state |= {"optimiser": optimiser.state_dict(), "spent": elapsed}
            write_checkpoint(args.out / f"step-{step:06d}", average, spm, facts, state)
        if elapsed >= budget:
            return


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(prog="python -m translator.train", description=__doc__)
    parser.add_argument("data", type=Path, help="folder with train/*.zh-en.tsv and eval/*-dev.zh-en.tsv")
    parser.add_argument("out", type=Path, help="folder for checkpoints; a run found there is continued")
    parser.add_argument("--minutes", type=float, default=100, help="wall-clock budget, reading and scoring included")
    parser.add_argument("--every", type=float, default=8, help="minutes between checkpoints")
    parser.add_argument("--pieces", type=int, default=8000, help="size of the shared vocabulary")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--encoder-layers", type=int, default=3)
    parser.add_argument("--decoder-layers", type=int, default=1)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--smoothing", type=float, default=0.1)
    parser.add_argument("--tokens", type=int, default=1800, help="padded pieces a batch and side")
    parser.add_argument("--max-pieces", type=int, default=40, help="longer pairs are left out")
    parser.add_argument("--peak", type=float, default=1.4e-3, help="highest learning rate")
    parser.add_argument("--warmup", type=int, default=400, help="steps to the highest rate")
    parser.add_argument("--dev-lines", type=int, default=150, help="lines of each development file")
    parser.add_argument("--attention", default="eager", help="eager is the faster for short pairs on a CPU")
    parser.add_argument("--bf16", action="store_true", help="bfloat16 arithmetic, where the processor has it")
    parser.add_argument("--seed", type=int, default=1)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
