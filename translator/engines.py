"""Which engine serves a model best: `python -m translator.engines [MODEL_DIR …]` measures all in one run.

For each model: torch, and CTranslate2 in 32-bit floats and in 8-bit integers. Quality on the evaluation set, beside
torch with the beams that the model names, by paired bootstrap. Speed in turns, so that what else the machine does
falls on all alike. The verdict: the fastest of those that are surely no more than `--margin` points worse.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from translator.conversion import Conversion, convert
from translator.footprint import Footprint, footprint, load
from translator.model import Translator
from translator.network import Network, Rows
from translator.paired import Difference, differences
from translator.postprocessing import Postprocessing
from translator.score import Case, read_cases, translate_cases
from translator.settings import MODELS
from translator.text import lay_out
from translator.tokenizer import Tokenizer

EVALUATION = Path(__file__).parent / "evaluation" / "zh-en.jsonl"
BATCHES = (1, 16, 32)
HEADS = {1: "one by one", 16: "16 together", 32: "32 together"}
MARGIN = 0.5  # points of BLEU and of chrF
TURN = 32  # sentences that each engine translates in its turn


@dataclass(frozen=True)
class Contender:
    """An engine, the folder that it loads and how wide it searches."""

    engine: str  # torch or ctranslate2
    precision: str  # float32 or int8
    folder: Path
    beams: int

    @property
    def name(self) -> str:
        """As the tables call it."""
        return f"{self.engine} {self.precision}, {self.beams} beams"

    def load(self, threads: int) -> Network:
        """Into memory. Raises `StartError`."""
        return load(self.engine, self.folder, threads, self.beams)


@dataclass(frozen=True)
class Measured:
    """What was found of one contender. `rates`: sentences a second by batch size; `ratios`: times those of the base."""

    contender: str
    bleu: Difference
    chrf: Difference
    equal: float
    rates: dict[int, float]
    ratios: dict[int, float]
    cost: Footprint

    @property
    def faster(self) -> float:
        """Times as fast as the base: the geometric mean over the batch sizes."""
        return math.exp(statistics.fmean(math.log(ratio) for ratio in self.ratios.values()))

    def as_good(self, margin: float) -> bool:
        """Whether both scores are surely no more than `margin` points below the base."""
        return self.bleu.low >= -margin and self.chrf.low >= -margin

    def row(self, model: str) -> dict[str, Any]:
        """A row of the table."""
        rates = {HEADS[size]: f"{rate:.0f}/s ({self.ratios[size]:.1f}×)" for size, rate in self.rates.items()}
        cost = {"load s": f"{self.cost.load_s:.2f}", "MB": f"{self.cost.loaded_mb:.0f}"}
        scores = {"BLEU": self.bleu.cell(), "chrF": self.chrf.cell(), "equal": f"{self.equal:.0%}"}
        return {"model": model, "engine": self.contender} | scores | rates | cost


def contenders(model: Path, scratch: Path, beams: Sequence[int] = ()) -> list[Contender]:
    """The base first: torch with the model's own beams; then the others, with those and with `beams`."""
    compiled = {precision: scratch / f"{model.name}-{precision}" for precision in ("float32", "int8")}
    for precision, folder in compiled.items():
        convert(model, folder, precision)
    own = Conversion.read(compiled["int8"]).search.num_beams
    widths = [own, *(width for width in beams if width != own)]
    base = [Contender("torch", "float32", model, width) for width in widths]
    return base + [Contender("ctranslate2", name, compiled[name], width) for name in compiled for width in widths]


def speeds(networks: Sequence[Network], rows: Rows, size: int, rounds: int) -> list[list[float]]:
    """Sentences a second of processor time, of each network in each round; each round has sentences of its own."""
    found: list[list[float]] = [[] for _ in networks]
    for number in range(rounds):
        start = number * TURN % max(1, len(rows) - TURN)
        turn = rows[start : start + TURN]
        for place in range(len(networks)):
            which = (place + number) % len(networks)  # nobody is always the first
            begun = time.process_time()
            for first in range(0, len(turn), size):
                networks[which].generate(turn[first : first + size])
            found[which].append(len(turn) / (time.process_time() - begun))
    return found


def measure(model: Path, cases: list[Case], beams: Sequence[int], rounds: int) -> list[Measured]:
    """All contenders of one model, in one run."""
    tokenizer, cleaning = Tokenizer.load(model), Postprocessing.load()
    with tempfile.TemporaryDirectory() as scratch:
        those = contenders(model, Path(scratch), beams)
        costs = [footprint(one.engine, one.folder, one.beams) for one in those]
        networks = [one.load(threads=1) for one in those]
    texts = [translate_cases(Translator(tokenizer, network, cleaning), cases) for network in networks]
    sentences = [sentence for case in cases for sentence in lay_out(case.source).sentences()]
    rows = tokenizer.encode(sentences, networks[0].longest)
    found = {size: speeds(networks, rows, size, rounds) for size in BATCHES}
    references = [case.reference for case in cases]
    return [
        Measured(
            contender=one.name,
            **differences(texts[index], texts[0], references),
            equal=statistics.fmean(ours == base for ours, base in zip(texts[index], texts[0], strict=True)),
            rates={size: statistics.median(rates[index]) for size, rates in found.items()},
            ratios={
                size: statistics.median(ours / base for ours, base in zip(rates[index], rates[0], strict=True))
                for size, rates in found.items()
            },
            cost=costs[index],
        )
        for index, one in enumerate(those)
    ]


def verdict(found: dict[str, list[Measured]], margin: float) -> str:
    """The contender that is as good as the base in every model, and of those the fastest."""
    good = set.intersection(*({one.contender for one in those if one.as_good(margin)} for those in found.values()))
    speed = {
        name: statistics.fmean(one.faster for those in found.values() for one in those if one.contender == name)
        for name in good
    }
    best = max(speed, key=lambda name: speed[name])
    kept = f"surely within {margin} points of BLEU and chrF"
    return f"{best}: {kept}, {speed[best]:.1f} times as fast as {next(iter(found.values()))[0].contender}"


def main() -> None:
    """Parse the command line, measure, print a table and the verdict."""
    parser = argparse.ArgumentParser(prog="python -m translator.engines", description=__doc__)
    parser.add_argument("models", type=Path, nargs="*", help="default: the bundled ones")
    parser.add_argument("--cases", type=Path, default=EVALUATION)
    parser.add_argument("--limit", type=int, help="only the first N cases")
    parser.add_argument("--beams", type=int, nargs="*", default=[], help="beside the model's own")
    parser.add_argument("--rounds", type=int, default=12, help=f"turns of {TURN} sentences for each batch size")
    parser.add_argument("--margin", type=float, default=MARGIN, help="points that may be lost; default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    args = parser.parse_args()
    models = args.models or sorted(path for path in MODELS.iterdir() if path.is_dir())
    cases = read_cases(args.cases, args.limit)
    found = {model.name: measure(model, cases, args.beams, args.rounds) for model in models}
    table = [one.row(name) for name, those in found.items() for one in those]
    print("| " + " | ".join(table[0]) + " |\n|" + "---|" * len(table[0]))
    for row in table:
        print("| " + " | ".join(map(str, row.values())) + " |")
    print(f"\n{len(cases)} cases, one thread. {verdict(found, args.margin)}")
    if args.json:
        figures = {name: [asdict(one) for one in those] for name, those in found.items()}
        document = {
            "models": figures,
            "cases": len(cases),
            "margin": args.margin,
            "verdict": verdict(found, args.margin),
        }
        args.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
