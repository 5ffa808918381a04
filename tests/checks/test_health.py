"""Health and warm-up against real services."""

from __future__ import annotations

import itertools
import time

import pytest

from release.checks.health import HealthCheck
from release.checks.warmup import WarmUpCheck, settled
from release.config.checks import Health, Quality, WarmUp
from release.verdict import Outcome


def test_a_service_that_becomes_ready_in_time_and_stays_so_passes(serve, subject) -> None:
    count = itertools.count()
    service = serve(lambda *_: (200 if next(count) >= 3 else 503, {"status": "loading"}))
    verdict = HealthCheck(Health(path="/ready", timeout="60s", settle="300ms")).run(subject(service.url))
    assert verdict.outcome is Outcome.PASS
    assert verdict.evidence["attempts"] > 4
    assert verdict.evidence["last_trouble"] == '503: {"status": "loading"}'
    assert {path for _, path, _ in service.requests} == {"/ready"}


def test_a_service_that_never_becomes_ready_fails_with_its_last_answer(serve, subject) -> None:
    service = serve(lambda *_: (503, {"error": "no weights"}))
    verdict = HealthCheck(Health(timeout="1s", settle="0s")).run(subject(service.url))
    assert verdict.outcome is Outcome.FAIL
    assert verdict.reason == 'not ready within 1 s: GET /health → 503: {"error": "no weights"}'


def test_a_question_that_the_end_cut_short_does_not_hide_what_was_answered_before(serve, subject) -> None:
    count = itertools.count()
    service = serve(lambda *_: (time.sleep(30 if next(count) else 0), (503, {"error": "no weights"}))[1])
    verdict = HealthCheck(Health(timeout="3s", settle="0s")).run(subject(service.url))
    assert verdict.reason == 'not ready within 3 s: GET /health → 503: {"error": "no weights"}'


def test_a_redirect_is_not_ready(serve, subject) -> None:
    verdict = HealthCheck(Health(timeout="200ms", settle="0s")).run(subject(serve(lambda *_: (302, b"")).url))
    assert verdict.outcome is Outcome.FAIL


def test_readiness_that_does_not_last_fails_and_says_so(serve, subject) -> None:
    count = itertools.count()
    service = serve(lambda *_: (200 if next(count) < 1 else 500, b"broken"))
    verdict = HealthCheck(Health(timeout="5s", settle="1s")).run(subject(service.url))
    assert verdict.outcome is Outcome.FAIL
    assert "did not stay so" in verdict.reason
    assert verdict.evidence["relapses"] == 1


def test_a_relapse_starts_the_settling_again(serve, subject) -> None:
    count = itertools.count()
    service = serve(lambda *_: (500 if next(count) == 1 else 200, b""))
    verdict = HealthCheck(Health(timeout="60s", settle="300ms")).run(subject(service.url))
    assert verdict.outcome is Outcome.PASS
    assert "relapsed 1 times" in verdict.reason


def test_a_candidate_that_dies_ends_the_health_check_with_its_error(serve, subject, stops_after, stopped) -> None:
    service = serve(lambda *_: (time.sleep(30), (200, b""))[1])
    with pytest.raises(stopped):
        HealthCheck(Health(timeout="60s")).run(subject(service.url, alive=stops_after(0.2)))


def test_warm_up_ends_once_latency_settles(serve, subject) -> None:
    count = itertools.count()
    service = serve(lambda *_: (time.sleep(0.06 if next(count) < 5 else 0.02), (200, b""))[1])
    verdict = WarmUpCheck(WarmUp(requests=60), Health(path="/h")).run(subject(service.url))
    assert verdict.outcome is Outcome.PASS
    assert verdict.evidence["settled"]
    assert 10 <= len(service.requests) < 60
    assert service.requests[0] == ("GET", "/h", None)


def test_settled_compares_the_last_window_with_the_one_before() -> None:
    assert not settled([1.0] * 9)
    assert settled([1.0] * 10)
    assert settled([9.0] * 10 + [1.0] * 5 + [1.19] * 5)
    assert not settled([1.0] * 5 + [0.5] * 5)


def test_warm_up_takes_the_quality_request_with_its_cases(serve, subject, cases) -> None:
    cases([{"source": f"s{n}", "reference": "r"} for n in range(3)])
    quality = Quality(
        cases="cases.jsonl", request={"path": "/t", "json": {"q": "{source}"}}, answer="a", metrics={"chrf": {}}
    )
    service = serve(lambda *_: (200, {"a": "x"}))
    WarmUpCheck(WarmUp(requests=4), Health(), quality).run(subject(service.url))
    assert [body["q"] for _, _, body in service.requests] == ["s0", "s1", "s2", "s0"]


def test_warm_up_where_most_requests_fail_fails_with_the_reason(serve, subject) -> None:
    service = serve(lambda *_: (500, b"out of memory"))
    verdict = WarmUpCheck(WarmUp(requests=6), Health()).run(subject(service.url))
    assert verdict.outcome is Outcome.FAIL
    assert "6 of 6 requests failed" in verdict.reason
    assert "500: out of memory" in verdict.reason


def test_warm_up_with_a_few_failures_passes_and_says_so(serve, subject) -> None:
    count = itertools.count()
    service = serve(lambda *_: (500 if next(count) == 0 else 200, b""))
    verdict = WarmUpCheck(WarmUp(requests=6), Health()).run(subject(service.url))
    assert verdict.outcome is Outcome.PASS
    assert "1 of them failed" in verdict.reason


def test_warm_up_that_cannot_be_asked_is_no_data_and_none_at_all_is_skipped(serve, subject) -> None:
    service = serve(lambda *_: (200, b""))
    section = WarmUp(requests=6, request={"path": "/t", "json": {"q": "{source}"}})
    assert WarmUpCheck(section, Health()).run(subject(service.url)).outcome is Outcome.NO_DATA
    assert WarmUpCheck(WarmUp(requests=0), Health()).run(subject(service.url)).outcome is Outcome.SKIPPED
    assert service.requests == []
