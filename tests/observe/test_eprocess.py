"""The sequential test keeps its promise of false alarms at every look, and finds what it says it finds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from release.observe.eprocess import RATIOS, BinomialEProcess, wilson

RUNS = 1500
REQUESTS = 20_000
CERTAINTY = 1e-6  # a correct test fails once in a million


def simulate(budget: float, rate: float, alpha: float, seed: int, runs: int = RUNS) -> tuple[list[int], int]:
    """Per run that rejected, after how many requests; and how many runs had their plain ratio over the budget, with at
    least 100 requests, at some look. Looks after every bad request."""
    random = np.random.default_rng(seed)
    rejected, crossed = [], 0
    for _ in range(runs):
        process = BinomialEProcess(budget, alpha)
        over = False
        gaps = random.geometric(rate, size=int(REQUESTS * rate * 2) + 50)
        for gap in gaps:
            if process.requests + gap > REQUESTS:
                break
            process.good(int(gap) - 1)
            process.worse()
            over = over or (process.requests >= 100 and process.bad / process.requests > budget)
        if process.rejected_at is not None:
            rejected.append(process.rejected_at)
        crossed += over
    return rejected, crossed


@pytest.mark.parametrize(("budget", "alpha", "seed"), [(0.01, 0.001, 1), (0.01, 0.05, 2), (0.05, 0.05, 3)])
def test_a_service_exactly_at_its_budget_is_rejected_no_more_often_than_alpha(
    budget: float, alpha: float, seed: int
) -> None:
    rejected, crossed = simulate(budget, budget, alpha, seed, runs=RUNS if budget < 0.05 else 400)
    runs = RUNS if budget < 0.05 else 400
    assert len(rejected) <= stats.binom.ppf(1 - CERTAINTY, runs, alpha)
    assert crossed > runs / 2  # the plain ratio would have gone back in most of them: the simulation can see alarms


def test_a_healthy_service_is_left_alone() -> None:
    rejected, crossed = simulate(budget=0.01, rate=0.005, alpha=0.001, seed=4)
    assert rejected == []
    assert crossed > RUNS / 10


def test_five_times_the_budget_is_always_found_and_soon() -> None:
    rejected, _ = simulate(budget=0.01, rate=0.05, alpha=0.001, seed=5, runs=500)
    assert len(rejected) == 500
    assert np.median(rejected) < 500


@pytest.mark.parametrize(("requests", "seed"), [(200, 6), (1_000, 7), (5_000, 8)])
def test_what_is_called_detectable_is_found_about_every_other_time(requests: int, seed: int) -> None:
    rate = BinomialEProcess(0.01, 0.001).detectable(requests)
    assert rate is not None
    rejected, _ = simulate(budget=0.01, rate=rate, alpha=0.001, seed=seed, runs=400)
    found = sum(at <= requests for at in rejected)
    assert 0.25 < found / 400 < 0.85


def test_a_few_errors_at_once_are_enough_and_one_is_not() -> None:
    process = BinomialEProcess(0.01, 0.001)
    for _ in range(3):
        process.worse()
    assert not process.rejected
    process.worse()
    assert process.rejected_at == 4


def test_a_rejection_stays() -> None:
    process = BinomialEProcess(0.01, 0.001)
    for _ in range(4):
        process.worse()
    process.good(1_000_000)
    assert process.evidence() < 1 and process.rejected_at == 4


def test_a_budget_of_nothing_and_one_of_everything() -> None:
    none, all_ = BinomialEProcess(0.0, 0.001), BinomialEProcess(1.0, 0.001)
    none.good(10**6)
    assert none.evidence() == 1 and not none.rejected
    none.worse()
    assert none.rejected and none.detectable(1000) == 0.001
    for _ in range(1000):
        all_.worse()
    assert not all_.rejected and all_.detectable(10**9) is None


def test_one_request_detects_nothing() -> None:
    assert BinomialEProcess(0.01, 0.001).detectable(1) is None
    assert BinomialEProcess(0.01, 0.001).detectable(0) is None


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.floats(1e-5, 0.9), st.integers(0, 400), st.integers(0, 10**6))
def test_the_evidence_is_the_mean_likelihood_ratio(budget: float, bad: int, good: int) -> None:
    process = BinomialEProcess(budget, 0.001)
    process.good(good)
    process.requests, process.bad = good + bad, bad
    logs = []
    for ratio in RATIOS:
        p1 = ratio * budget / (1 - budget + ratio * budget)
        logs.append(bad * math.log(p1 / budget) + good * math.log((1 - p1) / (1 - budget)))
    expected = float(np.logaddexp.reduce(logs) - math.log(len(logs)))
    evidence = process.evidence()
    if abs(expected) > 500:  # beyond what a float holds with all its digits
        assert evidence > 1e200 if expected > 0 else evidence < 1e-200
    else:
        assert math.log(evidence) == pytest.approx(expected, rel=1e-6, abs=1e-4)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.floats(0.001, 0.9), st.floats(0.0, 1.0))
def test_the_expected_factor_is_at_most_one_for_every_rate_within_the_budget(budget: float, part: float) -> None:
    rate = budget * part
    for ratio in RATIOS:
        cost = 1 - budget + ratio * budget
        assert rate * ratio / cost + (1 - rate) / cost <= 1 + 1e-12


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 500), st.integers(1, 500))
def test_wilson_agrees_with_scipy(bad: int, good: int) -> None:
    low, high = wilson(bad, bad + good)
    theirs = stats.binomtest(bad, bad + good).proportion_ci(0.95, method="wilson")
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=1e-6)
    assert wilson(0, 0) == (0.0, 1.0)


def test_nonsense_is_refused_at_birth() -> None:
    for budget, alpha in ((-0.1, 0.1), (1.1, 0.1), (0.1, 0.0), (0.1, 1.0)):
        with pytest.raises(ValueError):
            BinomialEProcess(budget, alpha)
