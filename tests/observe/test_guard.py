"""What the guard counts, when it trips, and what it says when it cannot tell."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from release.naming import Slot
from release.observe.budget import Budget
from release.observe.eprocess import BinomialEProcess
from release.observe.evidence import Counts
from release.observe.guard import EngineFacts, Enough, Guard, Hold, Trip
from release.observe.samples import Sample
from release.verdict import Outcome

BUDGET = Budget(max_error_rate=0.01, p95=0.8, min_requests=200)
OK = Sample(time=1000.0, slot="green", status=200, request_time=0.1, upstream_status=200, upstream_time=0.1)
ERROR = replace(OK, status=500, upstream_status=500)
UP = EngineFacts(running=True, pid_token="p1", ready=True)


@pytest.fixture
def guard() -> Guard:
    return Guard(Slot.GREEN, BUDGET, since=900.0)


def test_it_holds_until_enough_requests_were_seen(guard: Guard) -> None:
    assert guard.decide() == Hold(missing=200)
    guard.add([OK] * 199)
    assert guard.decide() == Hold(missing=1)
    assert guard.verdict().outcome is Outcome.NO_DATA
    guard.add([OK])
    assert guard.decide() == Enough()
    assert guard.verdict().outcome is Outcome.PASS


def test_no_traffic_at_all_is_no_data(guard: Guard) -> None:
    verdict = guard.verdict()
    assert verdict.outcome is Outcome.NO_DATA and "0 requests" in verdict.reason


def test_errors_over_the_budget_trip_it_for_good(guard: Guard) -> None:
    guard.add([OK] * 50 + [ERROR] * 8)
    decision = guard.decide()
    assert isinstance(decision, Trip) and "over the budget of 1 %" in decision.reason
    assert decision.evidence["errors"] == 6  # when it tripped, not what came later
    guard.add([OK] * 100_000)
    assert guard.decide() == decision
    assert guard.verdict().outcome is Outcome.FAIL


def test_errors_within_the_budget_do_not(guard: Guard) -> None:
    for _ in range(50):
        guard.add([OK] * 199 + [ERROR])
    assert guard.decide() == Enough()
    assert guard.verdict().outcome is Outcome.PASS


def test_a_rate_over_the_budget_that_a_few_errors_make_is_neither_bad_nor_good(guard: Guard) -> None:
    guard.add([OK] * 197 + [ERROR] * 3)
    assert guard.decide() == Enough()
    verdict = guard.verdict()
    assert verdict.outcome is Outcome.NO_DATA and "1.50%" in verdict.reason


@pytest.mark.parametrize(
    ("sample", "counts"),
    [
        (OK, Counts(requests=1)),
        (ERROR, Counts(requests=1, errors=1)),
        (replace(OK, status=502, upstream_status=None, upstream_time=None), Counts(requests=1, errors=1)),
        (replace(OK, status=504, upstream_status=504), Counts(requests=1, errors=1)),
        (replace(OK, status=200, upstream_status=200), Counts(requests=1)),
        (replace(OK, status=422, upstream_status=422), Counts(requests=1, refused=1)),
        (replace(OK, status=400, upstream_status=400), Counts(requests=1, refused=1)),
        (replace(OK, status=401, upstream_status=401), Counts(requests=1)),
        (replace(OK, status=404, upstream_status=404), Counts(requests=1)),
        (replace(OK, status=429, upstream_status=429), Counts(requests=1)),
        (replace(OK, status=304, upstream_status=304), Counts(requests=1)),
        (replace(OK, status=101, upstream_status=101, upstream_time=900.0), Counts(requests=1)),
        (replace(OK, status=499, upstream_status=None), Counts(abandoned=1)),
        (replace(OK, status=499, upstream_status=None, upstream_time=3.0), Counts(abandoned=1, slow=1)),
        (replace(OK, status=413, upstream_status=None), Counts(elsewhere=1)),
        (replace(OK, slot="blue", status=500), Counts(elsewhere=1)),
        (replace(OK, slot="none", status=503, upstream_status=None), Counts(elsewhere=1)),
        (replace(OK, time=900.0, request_time=0.5), Counts(elsewhere=1)),
        (replace(OK, upstream_time=0.9), Counts(requests=1, slow=1)),
        (replace(OK, request_time=5.0), Counts(requests=1)),  # a slow client is not a slow slot
        (replace(OK, upstream_time=60.0, answer_time=0.1), Counts(requests=1)),  # nor is a stream
        (replace(OK, upstream_time=1.0, answer_time=0.9), Counts(requests=1, slow=1)),
        (replace(OK, status=499, upstream_time=60.0, answer_time=0.1), Counts(abandoned=1)),
    ],
)
def test_each_kind_of_request_counts_as_what_it_is(guard: Guard, sample: Sample, counts: Counts) -> None:
    guard.add([sample])
    assert guard.counts == counts


def test_answers_that_are_too_slow_trip_it(guard: Guard) -> None:
    guard.add(([OK] * 3 + [replace(OK, upstream_time=0.9)]) * 50)
    decision = guard.decide()
    assert isinstance(decision, Trip) and "longer than 800 ms" in decision.reason


def test_a_p95_over_the_budget_that_a_few_answers_make_is_neither_bad_nor_good(guard: Guard) -> None:
    guard.add([OK] * 188 + [replace(OK, upstream_time=0.9)] * 12)
    assert guard.decide() == Enough()
    verdict = guard.verdict()
    assert verdict.outcome is Outcome.NO_DATA and "12 of 200 answers took longer than 800 ms" in verdict.reason
    guard.add([OK] * 40)
    assert guard.verdict().outcome is Outcome.PASS


def test_a_p95_budget_is_not_met_by_requests_that_have_no_time(guard: Guard) -> None:
    guard.add([replace(OK, status=101, upstream_status=101)] * 300)
    assert guard.verdict().outcome is Outcome.NO_DATA


def test_five_percent_of_slow_answers_are_within_a_p95_budget() -> None:
    random = np.random.default_rng(11)
    guard = Guard(Slot.GREEN, BUDGET)
    guard.add(replace(OK, upstream_time=0.9 if slow else 0.1) for slow in random.random(20_000) < 0.05)
    assert guard.decide() == Enough()


def test_without_a_p95_budget_no_answer_is_slow() -> None:
    guard = Guard(Slot.GREEN, replace(BUDGET, p95=None))
    guard.add([replace(OK, upstream_time=100.0)] * 300)
    assert guard.decide() == Enough() and guard.counts.slow == 0


@pytest.mark.parametrize(
    "facts",
    [
        replace(UP, restarts=1),
        replace(UP, pid_token="p2"),
        replace(UP, running=False, ready=None, detail="exit code 137, out of memory"),
    ],
)
def test_a_restart_or_a_stop_trips_it_at_once(guard: Guard, facts: EngineFacts) -> None:
    guard.engine(UP)
    guard.add([OK] * 500)
    assert guard.decide() == Enough()
    guard.engine(facts)
    decision = guard.decide()
    assert isinstance(decision, Trip) and facts.detail in decision.reason and "green" in decision.reason


def test_restarts_from_before_are_not_counted(guard: Guard) -> None:
    guard.engine(replace(UP, restarts=3))
    guard.engine(replace(UP, restarts=3))
    assert isinstance(guard.decide(), Hold)


def test_a_process_that_the_engine_could_not_name_once_is_no_restart(guard: Guard) -> None:
    guard.engine(UP)
    guard.engine(replace(UP, pid_token=""))
    assert isinstance(guard.decide(), Hold)


def test_three_failed_probes_in_a_row_trip_it_and_two_do_not(guard: Guard) -> None:
    down = replace(UP, ready=False, detail="answered 503")
    for facts in (UP, down, down, UP, down, replace(UP, ready=None), down):
        guard.engine(facts)
        assert isinstance(guard.decide(), Hold)
    guard.engine(down)
    decision = guard.decide()
    assert isinstance(decision, Trip) and "3 times in a row (answered 503)" in decision.reason


def test_the_first_reason_is_the_one_that_is_kept(guard: Guard) -> None:
    guard.engine(UP)
    guard.engine(replace(UP, running=False))
    guard.add([ERROR] * 100)
    decision = guard.decide()
    assert isinstance(decision, Trip) and "stopped running" in decision.reason


def test_the_evidence_tells_rates_intervals_percentiles_and_what_can_be_found(guard: Guard) -> None:
    guard.add(replace(OK, upstream_time=number / 1000) for number in range(1, 501))
    guard.add([ERROR])
    evidence = guard.verdict().evidence
    assert evidence["latency"]["p50"] == pytest.approx(0.250) and evidence["latency"]["p95"] == pytest.approx(0.475)
    assert evidence["latency"]["p99"] == pytest.approx(0.495)
    low, high = evidence["error_rate_95"]
    assert low < 1 / 501 == evidence["error_rate"] < high
    process = BinomialEProcess(BUDGET.max_error_rate, BUDGET.alpha)
    assert evidence["detectable_error_rate"] == process.detectable(501)
    assert 0.01 < process.detectable(10_000) < evidence["detectable_error_rate"] < 0.1
    (table,) = evidence["tables"]
    assert all(len(row) == len(table["columns"]) for row in table["rows"])
    json.loads(json.dumps(evidence, allow_nan=False))


def test_evidence_without_a_single_request_is_json_too() -> None:
    for budget in (BUDGET, replace(BUDGET, max_error_rate=0.0), replace(BUDGET, p95=None)):
        json.dumps(Guard(Slot.BLUE, budget).evidence(), allow_nan=False)
    strict = Guard(Slot.GREEN, replace(BUDGET, max_error_rate=0.0))
    strict.add([ERROR])
    assert isinstance(strict.decide(), Trip)
    json.dumps(strict.evidence(), allow_nan=False)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from([OK, ERROR, replace(OK, status=499), replace(OK, upstream_time=2.0)]), max_size=300))
def test_how_samples_come_in_batches_changes_nothing(samples: list[Sample]) -> None:
    whole, single = Guard(Slot.GREEN, BUDGET), Guard(Slot.GREEN, BUDGET)
    whole.add(samples)
    for sample in samples:
        single.add([sample])
    assert whole.decide() == single.decide() and whole.evidence() == single.evidence()
