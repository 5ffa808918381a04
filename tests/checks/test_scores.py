"""Scores equal sacrebleu's, and intervals are what they say."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from release.checks import statistics
from release.checks.scoring import Scorer

METRICS = {"bleu": BLEU(force=True), "chrf": CHRF(), "ter": TER()}
WORDS = ["the", "cat", "sat", "on", "a", "mat", "dog", "ran", ".", "quickly"]

sentence = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
reference = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join)


@pytest.mark.parametrize("name", list(METRICS))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pairs=st.lists(st.tuples(sentence, reference), min_size=1, max_size=8))
def test_the_score_of_summed_statistics_is_sacrebleus_corpus_score(name: str, pairs: list[tuple[str, str]]) -> None:
    answers, references = [answer for answer, _ in pairs], [text for _, text in pairs]
    rows = Scorer(name).statistics(answers, references, lambda: None)
    expected = METRICS[name].corpus_score(answers, [references]).score
    assert Scorer(name).score(rows) == expected
    assert float(statistics.SCORES[name](rows.sum(axis=0))) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", list(METRICS))
def test_many_sums_at_once_score_like_one_by_one(name: str) -> None:
    generator = random.Random(3)
    references = [" ".join(generator.choices(WORDS, k=9)) for _ in range(60)]
    answers = [" ".join(generator.choices(WORDS, k=8)) for _ in references]
    rows = Scorer(name).statistics(answers, references, lambda: None)
    sums = np.stack([rows[part].sum(axis=0) for part in (slice(0, 20), slice(20, 40), slice(5, 60), slice(0, 1))])
    assert statistics.SCORES[name](sums) == pytest.approx([Scorer(name).score(row[None]) for row in sums])


def test_a_sacrebleu_that_computes_otherwise_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = Scorer("chrf")
    rows = scorer.statistics(["the cat"], ["the mat"], lambda: None)
    monkeypatch.setitem(statistics.SCORES, "chrf", lambda sums: statistics.chrf(sums) + 0.01)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="in another way"):
        scorer.score(rows)


def test_extraction_looks_whether_the_run_goes_on(stops_after, stopped) -> None:
    with pytest.raises(stopped):
        Scorer("bleu").statistics(["a"] * 100, ["a"] * 100, stops_after(0))


def test_ter_counts_as_better_when_it_is_lower() -> None:
    one, two = np.array([10.0, 100.0]), np.array([30.0, 100.0])
    assert float(statistics.better("ter", statistics.ter(one), statistics.ter(two))) == pytest.approx(20)
    found = statistics.compare({"ter": np.tile(one, (30, 1))}, {"ter": np.tile(two, (30, 1))}, list(range(30)), 200, 1)
    assert found["ter"].low == pytest.approx(20) and found["ter"].high == pytest.approx(20)


def test_the_interval_is_that_of_the_resampled_differences() -> None:
    """Against a plain loop over resamples drawn in another way: equal up to the noise of drawing."""
    generator = np.random.default_rng(5)
    mine = generator.integers(0, 9, (200, 1)) * 1.0
    theirs = generator.integers(0, 8, (200, 1)) * 1.0
    length = np.full((200, 1), 10.0)
    pair = {"ter": np.hstack([mine, length])}, {"ter": np.hstack([theirs, length])}
    found = statistics.compare(*pair, list(range(200)), 4000, 1)["ter"]
    draws = []
    for _ in range(4000):
        picks = generator.integers(0, 200, 200)
        draws.append(100 * (theirs[picks].sum() - mine[picks].sum()) / 2000)
    assert found.point == pytest.approx(100 * (theirs.sum() - mine.sum()) / 2000)
    assert [found.low, found.high] == pytest.approx(np.percentile(draws, [5, 95]), abs=0.4)


def test_documents_are_drawn_as_a_whole() -> None:
    """Ten equal cases in each of 30 documents carry the information of 30 cases, not of 300."""
    generator = np.random.default_rng(2)
    edits = np.repeat(generator.integers(0, 10, 30), 10)[:, None] * 1.0
    length = np.full((300, 1), 10.0)
    mine, theirs = {"ter": np.hstack([edits, length])}, {"ter": np.hstack([length / 2, length])}
    alone = statistics.compare(mine, theirs, list(range(300)), 1000, 1)["ter"]
    whole = statistics.compare(mine, theirs, [n // 10 for n in range(300)], 1000, 1)["ter"]
    assert (whole.high - whole.low) / (alone.high - alone.low) == pytest.approx(10**0.5, rel=0.25)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(2)
    rows = [{"ter": generator.integers(1, 20, (40, 2)) * 1.0} for _ in range(2)]
    waves = generator.random((25, 4)).tolist()
    whole = statistics.compare(*rows, list(range(40)), 300, 7), statistics.percentile_interval(waves, 95, 300, 7)
    monkeypatch.setattr(statistics, "_CELLS", 500)
    assert whole == (statistics.compare(*rows, list(range(40)), 300, 7),
                     statistics.percentile_interval(waves, 95, 300, 7))  # fmt: skip


def test_equal_seeds_give_equal_intervals_and_the_ratio_of_a_system_to_itself_is_one() -> None:
    waves = np.random.default_rng(1).lognormal(0, 1, (50, 4)).tolist()
    assert statistics.ratio_interval(waves, waves, 95, 300, 3) == statistics.Interval(1.0, 1.0, 1.0)
    assert statistics.percentile_interval(waves, 95, 300, 3) == statistics.percentile_interval(waves, 95, 300, 3)
    doubled = [[2 * value for value in wave] for wave in waves]
    assert statistics.ratio_interval(doubled, waves, 95, 300, 3).low == pytest.approx(2)
