"""sacrebleu's metrics as sufficient statistics per case. The one place that knows sacrebleu."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from release.checks.statistics import SCORES, Array

SHOWN = {"bleu": "BLEU", "chrf": "chrF", "ter": "TER"}
_LOOK_EVERY = 0.1  # seconds between two looks at whether the run goes on; TER of a long text takes that long


class Scorer:
    """One metric. Its corpus scores equal sacrebleu's `corpus_score` of the same texts."""

    def __init__(self, name: str) -> None:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
        from sacrebleu.metrics.ter import TER

        self.name = name
        makers: dict[str, Callable[[], Any]] = {"bleu": lambda: BLEU(force=True), "chrf": CHRF, "ter": TER}
        self._metric = makers[name]()

    def statistics(self, answers: Sequence[str], references: Sequence[str], alive: Callable[[], None]) -> Array:
        """Shape (cases, k). What sacrebleu itself sums for a corpus score (its significance tests do the same)."""
        rows: list[list[float]] = []
        looked = float("-inf")
        for answer, reference in zip(answers, references, strict=True):
            if time.monotonic() - looked >= _LOOK_EVERY:
                alive()
                looked = time.monotonic()
            rows += self._metric._extract_corpus_statistics([answer], [[reference]])
        return np.asarray(rows, dtype=float)

    def score(self, statistics: Array) -> float:
        """The corpus score of these cases, computed by sacrebleu.

        Raises ValueError where the arithmetic for many resamples differs from it: another sacrebleu, another formula.
        """
        sums = statistics.sum(axis=0)
        score = float(self._metric._compute_score_from_stats([int(x) if x == int(x) else x for x in sums]).score)
        if not math.isclose(score, float(SCORES[self.name](sums)), rel_tol=1e-9, abs_tol=1e-9):
            raise ValueError(f"this sacrebleu computes {SHOWN[self.name]} in another way than release expects")
        return score

    @property
    def signature(self) -> str:
        """sacrebleu's signature: what has to be equal for two scores to be comparable."""
        return str(self._metric.get_signature())
