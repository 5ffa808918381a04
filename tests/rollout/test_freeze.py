"""Freeze windows."""

from __future__ import annotations

from datetime import datetime

import pytest

from release.config.rollout import Freeze
from release.errors import Refused
from release.rollout.freeze import active, require_open

FRIDAY = Freeze.model_validate({"days": ["fri"], "from": "16:00", "to": "24:00", "reason": "nobody is here"})
NIGHT = Freeze.model_validate({"days": ["mon"], "from": "22:00", "to": "06:00"})


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_window_is_closed_from_its_first_minute_to_the_one_before_its_end() -> None:
    assert active([FRIDAY], at("2026-11-20T15:59")) is None
    assert active([FRIDAY], at("2026-11-20T16:00")) == FRIDAY
    assert active([FRIDAY], at("2026-11-20T23:59")) == FRIDAY
    assert active([FRIDAY], at("2026-11-21T00:00")) is None


def test_a_window_over_midnight_belongs_to_the_day_it_begins_on() -> None:
    assert active([NIGHT], at("2026-11-23T23:00")) == NIGHT  # Monday night
    assert active([NIGHT], at("2026-11-24T05:59")) == NIGHT  # Tuesday morning
    assert active([NIGHT], at("2026-11-23T05:00")) is None  # Monday morning
    assert active([NIGHT], at("2026-11-24T23:00")) is None


def test_without_days_it_is_every_day() -> None:
    assert active([Freeze.model_validate({"from": "12:00", "to": "13:00"})], at("2026-11-22T12:30")) is not None


def test_the_refusal_names_the_window_its_reason_and_the_way_out() -> None:
    with pytest.raises(Refused, match=r"16:00.*nobody is here") as caught:
        require_open([FRIDAY], at("2026-11-20T17:00"))
    assert "--ignore-freeze" in (caught.value.hint or "")
    require_open([FRIDAY], at("2026-11-19T17:00"))
