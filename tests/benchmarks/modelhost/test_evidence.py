"""What is concluded from answers and times: a mixture, a wrong name, a silence, and which requests a switch touched."""

from __future__ import annotations

import pytest

from benchmarks.load import Exchange
from benchmarks.modelhost.evidence import (
    first_answers,
    is_whole,
    latencies,
    mixed,
    reasons,
    silence,
    told,
    touches,
    version_value,
)


def at(*ended: float, answer: str | None = "who", seconds: float = 0.1) -> list[Exchange]:
    return [Exchange(end - seconds, end, answer) for end in ended]


@pytest.mark.parametrize(
    ("answer", "whole"),
    [
        (told({2.0}, {2.0}, 2.0), True),
        (told({2.0}, {2.0}, None), True),
        (told({2.0}, {1.0}, None), False),
        (told({2.0}, {1.0}, 2.0), False),
        (told({1.0, 2.0}, {1.0, 2.0}, None), False),
        (told({2.0}, {2.0}, 1.0), False),
        (told(set(), set(), None), False),
    ],
    ids=["one version", "without a name", "encoder and decoder differ", "and named", "within", "misnamed", "nothing"],
)
def test_an_answer_is_whole_when_one_version_made_it_and_it_names_no_other(answer: str, whole: bool) -> None:
    assert is_whole(answer) is whole
    assert version_value(answer) == (2.0 if whole else None)


def test_mixed_answers_are_counted_each_time() -> None:
    found = {told({1}, {1}, 1): 10, told({1}, {2}, 1): 3, told({1, 1.5}, {1}, None): 2}
    assert mixed(found) == 5


def test_two_who_met_the_same_values_said_the_same_in_whatever_order() -> None:
    assert told({2.0, 1.0}, [3.0, 1.0], None) == told([1.0, 2.0], {1.0, 3.0}, None)


WINDOWS = [(10.0, 11.0), (20.0, 21.0)]


@pytest.mark.parametrize(
    ("began", "ended", "touched"),
    [
        (8.0, 9.0, False),
        (9.0, 10.0, True),
        (9.0, 12.0, True),
        (10.2, 10.4, True),
        (11.0, 12.0, True),
        (12.0, 19.0, False),
        (12.0, 30.0, True),
        (22.0, 23.0, False),
    ],
)
def test_a_request_is_touched_by_a_switch_that_it_overlaps(began: float, ended: float, touched: bool) -> None:
    assert touches(WINDOWS, began, ended) is touched


def test_latencies_at_rest_and_during_switches_are_kept_apart_and_failures_are_in_neither() -> None:
    exchanges = [
        *at(1.0, 2.0, 3.0, seconds=0.1),
        *at(0.05, seconds=0.5),  # began before the rest did
        *at(10.5, 20.5, seconds=0.4),
        *at(15.0, seconds=9.0),  # under way at a switch, long after the rest
        *at(2.0, 10.5, answer=None, seconds=5.0),
    ]
    found = latencies(exchanges, WINDOWS, rest=(0.0, 5.0))
    assert found.rest["p99"] == pytest.approx(0.1)
    assert found.touched == 3
    assert found.during["p50"] == pytest.approx(0.4)
    assert found.during["p99"] == pytest.approx(9.0)
    assert found.ratio == pytest.approx(90.0)
    assert latencies([], WINDOWS, (0.0, 5.0)).ratio == 0.0


def test_the_silence_is_the_longest_time_without_an_answer_whatever_failed_meanwhile() -> None:
    assert silence([*at(5.0, 1.0, 2.0), *at(3.0, 4.0, answer=None)]) == pytest.approx(3.0)
    assert silence(at(1.0)) == 0.0


def test_the_first_answer_of_a_set_is_looked_for_after_the_switch_to_it_was_called_for() -> None:
    one, two, mixture = told({1.0}, {1.0}, 1.0), told({2.0}, {2.0}, 2.0), told({2.0}, {1.0}, None)
    exchanges = [
        *at(9.0, 10.4, answer=one),
        *at(10.2, answer=mixture),
        *at(10.6, 10.5, answer=two),
        *at(20.9, answer=one),
    ]
    assert first_answers(exchanges, [(10.0, 2.0), (20.0, 1.0)]) == pytest.approx([0.5, 0.9])
    assert first_answers(exchanges, [(10.0, 3.0), (30.0, 1.0)]) == [], "nobody saw these"


def test_reasons_come_with_the_most_frequent_first() -> None:
    assert reasons({"reset": 2, "refused": 9}) == "9 refused, 2 reset"
    assert reasons({}) == "-"
