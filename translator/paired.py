"""Is one list of translations worse than another? Corpus scores of both on the same resampled sentences. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

SAMPLES = 1000
SEED = 12345  # sacrebleu's own
INSIDE = (2.5, 97.5)  # percent


@dataclass(frozen=True)
class Difference:
    """A corpus score in sacrebleu's points, and how much it is above the other's: 95 % of the resamples lie between."""

    score: float
    above: float
    low: float
    high: float

    def cell(self) -> str:
        """As a table shows it."""
        return f"{self.score:.2f} ({self.above:+.2f}: {self.low:+.2f} … {self.high:+.2f})"


def differences(lines: list[str], base: list[str], references: list[str]) -> dict[str, Difference]:
    """`bleu` and `chrf` of `lines` against those of `base`, by paired bootstrap (Koehn 2004), the same each time."""
    chosen = np.random.default_rng(SEED).integers(0, len(references), (SAMPLES, len(references)))
    # How often each sentence is in each resample: (samples, sentences), so that resampling is one product.
    counts = np.apply_along_axis(np.bincount, 1, chosen, minlength=len(references)).astype(np.float64)
    return {
        name: _difference(metric, counts, lines, base, references)
        for name, metric in (("bleu", BLEU()), ("chrf", CHRF()))
    }


def _difference(metric: Any, counts: Any, lines: list[str], base: list[str], references: list[str]) -> Difference:
    ours, theirs = (np.array(metric._extract_corpus_statistics(these, [references])) for these in (lines, base))
    above = _scores(metric, counts @ ours) - _scores(metric, counts @ theirs)
    score = float(metric.corpus_score(lines, [references]).score)
    low, high = np.percentile(above, INSIDE)
    return Difference(score, score - float(metric.corpus_score(base, [references]).score), float(low), float(high))


def _scores(metric: Any, sums: Any) -> Any:
    """Corpus scores of summed statistics, as sacrebleu's own significance tests compute them."""
    return np.array([metric._compute_score_from_stats(row.tolist()).score for row in sums])
