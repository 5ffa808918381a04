"""Score a model directory: `python -m translator.score MODEL_DIR FILE…` prints BLEU, chrF and TER with signatures.

A file is `source<TAB>reference` lines (.tsv) or the evaluation set's form (.jsonl), which is scored by group as well.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from translator.model import Translator
from translator.text import lay_out


@dataclass(frozen=True)
class Case:
    """One sentence to translate, its reference and the group it belongs to (empty where there are no groups)."""

    source: str
    reference: str
    group: str = ""


@dataclass(frozen=True)
class Score:
    """Corpus scores, in sacrebleu's points (0 to 100; TER: lower is better and may exceed 100)."""

    name: str
    sentences: int
    bleu: float
    chrf: float
    ter: float

    def row(self) -> str:
        """A line of a Markdown table."""
        return f"| {self.name} | {self.sentences} | {self.bleu:.1f} | {self.chrf:.1f} | {self.ter:.1f} |"


HEAD = "| set | sentences | BLEU | chrF | TER |\n|---|---|---|---|---|"


def read_cases(path: Path, limit: int | None = None) -> list[Case]:
    """The first `limit` cases of a .tsv or .jsonl file, or all of them."""
    lines = path.read_text(encoding="utf-8").splitlines()[:limit]
    if path.suffix == ".jsonl":
        rows = [json.loads(line) for line in lines]
        return [Case(row["source"], row["reference"], row.get("group", "")) for row in rows]
    return [Case(*line.split("\t")[:2]) for line in lines]


def translate_cases(translator: Translator, cases: list[Case]) -> list[str]:
    """Translate as the service does: split into sentences, translate, put together again."""
    layouts = [lay_out(case.source) for case in cases]
    lines = iter(translator.translate([part for layout in layouts for part in layout.sentences()]).lines)
    return [layout.fill([next(lines) for _ in layout.sentences()]) for layout in layouts]


def score(name: str, hypotheses: list[str], references: list[str]) -> Score:
    """Score one corpus."""
    values = [metric.corpus_score(hypotheses, [references]).score for metric in (BLEU(), CHRF(), TER())]
    return Score(name, len(references), *values)


def score_file(translator: Translator, path: Path, limit: int | None = None) -> list[Score]:
    """The scores of a file: the whole, then each group if it has any."""
    cases = read_cases(path, limit)
    hypotheses = translate_cases(translator, cases)

    def of(name: str, belongs: Callable[[Case], bool]) -> Score:
        chosen = [(h, case.reference) for h, case in zip(hypotheses, cases, strict=True) if belongs(case)]
        return score(name, [h for h, _ in chosen], [reference for _, reference in chosen])

    name = path.name.split(".")[0]
    groups = sorted({case.group for case in cases} - {""})
    parts = [of(f"{name}, {group}", lambda case, group=group: case.group == group) for group in groups]  # type: ignore[misc]
    return [of(name, lambda _: True), *parts]


def signatures() -> str:
    """sacrebleu's signatures of the three metrics."""
    made = []
    for metric in (BLEU(), CHRF(), TER()):
        metric.corpus_score(["a b c d"], [["a b c d"]])
        made.append(f"{type(metric).__name__}|{metric.get_signature()}")
    return "\n".join(made)


def main() -> None:
    """Parse the command line, score, print a table."""
    parser = argparse.ArgumentParser(prog="python -m translator.score", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--beams", type=int, default=0, help="0: as the model's generation_config.json says")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, help="only the first N lines of each file")
    args = parser.parse_args()
    translator = Translator.load(args.model, args.threads, args.beams)
    print(HEAD, flush=True)
    for path in args.files:
        began = time.monotonic()
        for line in score_file(translator, path, args.limit):
            print(line.row(), flush=True)
        print(f"{path.name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    print("\n" + signatures())


if __name__ == "__main__":
    main()
