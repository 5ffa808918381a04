"""The history as it is told: a switch of a cluster once, and two that differ as two."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from modelhost.http.control import past
from modelhost.serving.history import Kind, Outcome, Record

AT = datetime(2026, 1, 1, tzinfo=UTC)
SWITCH = Record(AT, Kind.SWAP, Outcome.SWITCHED, "ann", "better", 2, {"model": "1"}, {"model": "2"}, process="one")


def test_a_switch_that_two_members_wrote_is_one() -> None:
    (told,) = past([SWITCH, replace(SWITCH, at=AT + timedelta(seconds=1), process="two")], of_members=True)
    assert (told["at"], told["processes"]) == (AT.isoformat(), ["one", "two"])


def test_two_switches_of_one_number_to_other_versions_are_two() -> None:
    """Numbers begin anew in a cluster whose place was emptied, and people give the same reason twice."""
    other = replace(SWITCH, at=AT + timedelta(days=9), before={"model": "2"}, after={"model": "3"})
    assert [each["after"] for each in past([SWITCH, other], of_members=True)] == [{"model": "2"}, {"model": "3"}]
