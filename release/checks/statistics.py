"""Pure arithmetic behind the gates: corpus scores from sufficient statistics, and bootstrap intervals. Seeds handed in.

The scores are sacrebleu's (BLEU with 13a and exponential smoothing, chrF2, TER), written for many resamples at once;
`scoring.Scorer` holds them against sacrebleu's own arithmetic on every run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CONFIDENCE = 0.90  # two-sided
_CELLS = 4_000_000  # largest matrix of weights held at once


@dataclass(frozen=True)
class Interval:
    """A point estimate with its percentile interval at CONFIDENCE."""

    point: float
    low: float
    high: float


def bleu(sums: Array) -> Array:
    """Corpus BLEU (0 to 100) of summed statistics, shape (…, 10): lengths of system and reference, four counts of
    matched n-grams, four of all. Papineni et al. 2002; smoothing `exp` of Chen and Cherry 2014, method 3."""
    system, reference = sums[..., 0], sums[..., 1]
    correct, total = sums[..., 2:6], sums[..., 6:10]
    misses = np.cumsum(correct == 0, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(correct > 0, 100 * correct / total, 100 / (2.0**misses * total))
        brevity = np.where(system < reference, np.exp(1 - reference / system), 1.0)
        score = brevity * np.exp(np.log(precision).mean(axis=-1))
    undefined = (total == 0).any(axis=-1) | (correct == 0).all(axis=-1) | (system == 0)
    return np.where(undefined, 0.0, score)


def chrf(sums: Array) -> Array:
    """Corpus chrF2 (0 to 100) of summed statistics, shape (…, 18): for each order 1 to 6 the n-grams of system,
    reference, and both. Popović 2015, averaged over the orders that occur (sacrebleu's effective order)."""
    system, reference, matched = sums[..., 0::3], sums[..., 1::3], sums[..., 2::3]
    counts = (system > 0) & (reference > 0)
    orders = np.maximum(counts.sum(axis=-1), 1)
    precision = np.where(counts, matched / np.maximum(system, 1), 0.0).sum(axis=-1) / orders
    recall = np.where(counts, matched / np.maximum(reference, 1), 0.0).sum(axis=-1) / orders
    weighed = 4 * precision + recall
    return np.where(weighed > 0, 100 * 5 * precision * recall / np.where(weighed > 0, weighed, 1), 0.0)


def ter(sums: Array) -> Array:
    """Translation edit rate (0 upwards, lower is better) of summed statistics, shape (…, 2): edits, reference length.
    Snover et al. 2006."""
    edits, length = sums[..., 0], sums[..., 1]
    return 100 * np.where(length > 0, edits / np.where(length > 0, length, 1), (edits > 0).astype(float))


SCORES: Mapping[str, Callable[[Array], Array]] = {"bleu": bleu, "chrf": chrf, "ter": ter}


def better(metric: str, candidate: Array, other: Array) -> Array:
    """Candidate minus other, its sign turned for TER: positive is always better."""
    return other - candidate if metric == "ter" else candidate - other


def compare(
    candidate: Mapping[str, Array], other: Mapping[str, Array], units: Sequence[int], resamples: int, seed: int
) -> dict[str, Interval]:
    """Paired bootstrap of the difference of corpus scores, for every metric with the same draws.

    `candidate` and `other` map a metric to statistics of shape (cases, k), case by case the same source; `units`
    numbers each case's resampling unit (its document) from 0. Koehn 2004, with an interval in place of a p-value.
    """
    number = max(units) + 1
    summed = {m: (_per_unit(candidate[m], units, number), _per_unit(other[m], units, number)) for m in candidate}
    draws: dict[str, list[Array]] = {metric: [] for metric in candidate}
    for weights in _weights(number, resamples, np.random.default_rng(seed)):
        for metric, (mine, theirs) in summed.items():
            score = SCORES[metric]
            draws[metric].append(better(metric, score(weights @ mine), score(weights @ theirs)))
    found = {}
    for metric, (mine, theirs) in summed.items():
        score = SCORES[metric]
        point = better(metric, score(mine.sum(axis=0)), score(theirs.sum(axis=0)))
        found[metric] = _interval(float(point), np.concatenate(draws[metric]))
    return found


def percentile(waves: Sequence[Sequence[float]], q: float) -> float:
    """The q-th percentile (0 to 100) of all values, linearly interpolated."""
    return float(np.percentile(np.asarray(waves, dtype=float), q))


def percentile_interval(waves: Sequence[Sequence[float]], q: float, resamples: int, seed: int) -> Interval:
    """Bootstrap interval of a percentile. `waves` has shape (waves, requests): whole waves are drawn, because requests
    that were under way together waited for each other and are not independent."""
    values = np.asarray(waves, dtype=float)
    draws = [np.percentile(chunk, q, axis=1) for chunk in _drawn(values, resamples, seed)]
    return _interval(percentile(waves, q), np.concatenate(draws))


def ratio_interval(
    candidate: Sequence[Sequence[float]], live: Sequence[Sequence[float]], q: float, resamples: int, seed: int
) -> Interval:
    """Bootstrap interval of the ratio of two percentiles; waves are drawn in the pairs in which they were sent."""
    mine, theirs = np.asarray(candidate, dtype=float), np.asarray(live, dtype=float)
    draws = [
        np.percentile(a, q, axis=1) / np.percentile(b, q, axis=1)
        for a, b in zip(_drawn(mine, resamples, seed), _drawn(theirs, resamples, seed), strict=True)
    ]
    return _interval(percentile(candidate, q) / percentile(live, q), np.concatenate(draws))


def _per_unit(statistics: Array, units: Sequence[int], number: int) -> Array:
    sums = np.zeros((number, statistics.shape[1]))
    np.add.at(sums, np.asarray(units), statistics)
    return sums


def _weights(number: int, resamples: int, generator: np.random.Generator) -> Iterator[Array]:
    """How often each unit was drawn in each resample, in chunks of shape (some resamples, number)."""
    chunk = max(1, _CELLS // number)
    for begin in range(0, resamples, chunk):
        size = min(chunk, resamples - begin)
        yield generator.multinomial(number, np.full(number, 1 / number), size=size).astype(float)


def _drawn(values: Array, resamples: int, seed: int) -> Iterator[Array]:
    """Resampled values, shape (some resamples, waves × requests); equal seeds and shapes draw equal waves."""
    generator = np.random.default_rng(seed)
    chunk = max(1, _CELLS // values.size)
    for begin in range(0, resamples, chunk):
        picks = generator.integers(len(values), size=(min(chunk, resamples - begin), len(values)))
        yield values[picks].reshape(len(picks), -1)


def _interval(point: float, draws: Array) -> Interval:
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(draws, [tail, 100 - tail])
    return Interval(point, float(low), float(high))
