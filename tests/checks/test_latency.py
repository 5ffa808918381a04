"""The latency gate against services of known slowness, and its rule on waves of made-up latencies."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from release.checks.latency import LatencyCheck
from release.checks.pace import Question, judge, settle
from release.config.checks import Latency, Quality
from release.verdict import Outcome

FIXED = {"method": "GET", "path": "/work", "timeout": 60}


def slow(low: float, high: float) -> Callable[..., tuple[int, Any]]:
    """A service whose answers take between `low` and `high` seconds."""
    generator = random.Random(4)
    return lambda *_: (time.sleep(generator.uniform(low, high)), (200, b"ok"))[1]


def check(**options: Any) -> LatencyCheck:
    return LatencyCheck(Latency(**{"requests": 40, "concurrency": 2, "request": FIXED} | options))


def test_a_far_slower_candidate_fails_and_the_table_shows_both(serve, subject) -> None:
    made = subject(serve(slow(0.5, 0.6)).url, serve(slow(0.005, 0.01)).url)
    verdict = check(ratio=1.3).run(made)
    assert verdict.outcome is Outcome.FAIL
    assert "× live's [" in verdict.reason and "at most 1.3 ×" in verdict.reason
    (table,) = verdict.evidence["tables"]
    sent = table["rows"][0][1]
    assert sent in ("40", "80", "120")  # more than the first where the machine was too busy for them to settle it
    assert [row[:3] for row in table["rows"]] == [["candidate", sent, "0"], ["live", sent, "0"]]
    assert verdict.evidence["candidate"]["p50_ms"] >= 500


def test_a_far_faster_candidate_passes(serve, subject) -> None:
    verdict = check(ratio=1.3, p95="5s").run(subject(serve(slow(0.001, 0.002)).url, serve(slow(0.25, 0.3)).url))
    assert verdict.outcome is Outcome.PASS, verdict.reason
    assert verdict.reason.startswith("p95 ") and "budget 5000 ms" in verdict.reason


def test_a_budget_that_is_surely_broken_fails_without_live(serve, subject) -> None:
    verdict = check(p95="20ms").run(subject(serve(slow(0.05, 0.06)).url))
    assert verdict.outcome is Outcome.FAIL
    assert "budget 20 ms" in verdict.reason


def test_the_first_deployment_has_a_budget_and_no_ratio(serve, subject) -> None:
    made = subject(serve(slow(0, 0.001)).url)
    verdict = check(p95="5s", ratio=1.3).run(made)
    assert verdict.outcome is Outcome.PASS
    assert "first deployment has nothing to compare with" in verdict.reason
    assert check(ratio=1.3).run(made).outcome is Outcome.SKIPPED


def test_more_than_one_percent_failing_fails_however_fast(serve, subject) -> None:
    count = itertools.count()
    service = serve(lambda *_: (500 if next(count) in (10, 20) else 200, b"boom"))
    verdict = check(p95="60s").run(subject(service.url))
    assert verdict.outcome is Outcome.FAIL
    assert verdict.reason.startswith("2 of 40 requests failed, more than 1 %: 500: boom")


def test_a_candidate_that_only_fails_is_not_asked_three_hundred_times(serve, subject) -> None:
    service = serve(lambda *_: (503, b""))
    verdict = check(requests=300, p95="5s").run(subject(service.url))
    assert verdict.outcome is Outcome.FAIL
    assert len(service.requests) < 40


def test_a_live_release_that_fails_leaves_no_ratio_and_no_pass(serve, subject) -> None:
    live = serve(lambda *_: (500, b"down"))
    candidate = serve(slow(0, 0.001))
    verdict = check(requests=300, p95="5s", ratio=1.3).run(subject(candidate.url, live.url))
    assert verdict.outcome is Outcome.NO_DATA
    assert "requests to live failed, more than 1 %: 500: down" in verdict.reason
    assert len(candidate.requests) >= 300
    assert len(live.requests) < 40, "each of the others might have taken its whole timeout"


def test_both_get_the_same_texts_in_waves_of_the_stated_concurrency(serve, subject, cases) -> None:
    cases([{"source": f"s{n}", "reference": "r"} for n in range(100)])
    quality = Quality(
        cases="cases.jsonl", request={"path": "/t", "json": {"q": "{source}"}}, answer="a", metrics={"chrf": {}}
    )
    order: list[str] = []

    def service(name: str) -> Any:
        return serve(lambda *_: (order.append(name), (200, {"a": "x"}))[1])

    candidate, live = service("candidate"), service("live")
    LatencyCheck(Latency(requests=60, concurrency=3), quality).run(subject(candidate.url, live.url))
    texts = [sorted(body["q"] for _, _, body in one.requests) for one in (candidate, live)]
    assert texts[0] == texts[1]
    assert len(set(texts[0])) == 60
    waves = [order[n : n + 3] for n in range(0, len(order), 3)]
    assert all(len(set(wave)) == 1 for wave in waves)
    first = [wave[0] for wave in waves[::2]]
    assert {"candidate", "live"} == set(first)  # neither always goes first


@pytest.mark.parametrize("options", [{"request": None}, {"request": {"path": "/t", "json": {"q": "{source}"}}}])
def test_what_cannot_be_asked_is_no_data(subject, options: dict[str, Any]) -> None:
    verdict = check(p95="5s", **options).run(subject("http://127.0.0.1:1"))
    assert verdict.outcome is Outcome.NO_DATA


def test_an_interruption_leaves_at_once(serve, subject, stops_after, stopped) -> None:
    with pytest.raises(stopped):
        check(p95="5s").run(subject(serve(slow(60, 61)).url, alive=stops_after(0.2)))


def waves(*values: float) -> list[list[float]]:
    return [[value] for value in values]


def test_a_question_that_straddles_is_open_and_settled_by_the_stated_rule() -> None:
    generator = random.Random(1)
    wide = waves(*(generator.lognormvariate(0, 1) for _ in range(40)))
    budget = Question("budget", settle(Question("budget", 1, wide)).point * 1.01, wide)
    assert judge(budget) is None
    assert settle(budget).outcome is Outcome.PASS and settle(budget).rule == "by the point estimate"
    above = Question("budget", budget.limit * 0.98, wide)
    assert judge(above) is None
    assert settle(above).outcome is Outcome.NO_DATA


def test_a_ratio_passes_unsettled_only_where_it_was_measured_finely_enough() -> None:
    generator = random.Random(7)
    few = [waves(*(generator.lognormvariate(0, 2) for _ in range(25))) for _ in range(2)]
    answer = settle(Question("ratio", 1.3, few[0], few[1]))
    assert answer.low < 1 < 1.3**2 < answer.high  # could be anything
    assert answer.outcome is Outcome.NO_DATA
    assert settle(Question("ratio", 1.3, few[0], few[0])).outcome is Outcome.PASS


def simulated(generator: np.random.Generator, slower: float) -> Outcome:
    """The gate's way on 200 heavy-tailed requests (log-normal, σ = 1) at concurrency 4, and up to three times that."""
    candidate: list[list[float]] = []
    live: list[list[float]] = []
    for _ in range(3):
        candidate += (slower * generator.lognormal(0, 1, (50, 4))).tolist()
        live += generator.lognormal(0, 1, (50, 4)).tolist()
        question = Question("ratio", 1.3, candidate, live)
        if judge(question) is not None:
            break
    return settle(question).outcome


def test_the_p95_ratio_seldom_errs() -> None:
    """A plain ratio refuses an identical service 10 % of the time and passes one 1.5 times slower 24 %.

    60 runs each with a fixed seed. The claims: an identical service fails at most 5 % of the time and passes at least
    85 %; one 1.5 times slower passes at most 15 %. A claim is refuted only by a count that would come up in fewer than
    one of a thousand such experiments if it were true (exact binomial tail).
    """
    from scipy.stats import binom

    generator = np.random.default_rng(11)
    same = [simulated(generator, 1.0) for _ in range(60)]
    slower = [simulated(generator, 1.5) for _ in range(60)]
    assert binom.sf(same.count(Outcome.FAIL) - 1, 60, 0.05) > 0.001, same
    assert binom.cdf(same.count(Outcome.PASS), 60, 0.85) > 0.001, same
    assert binom.sf(slower.count(Outcome.PASS) - 1, 60, 0.15) > 0.001, slower
