"""What is told once in a cluster, by whichever member lives, while each of them may end at any moment."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from modelhost.cluster.announcements import Announcements
from modelhost.cluster.place import DirectoryPlace
from modelhost.serving.events import Event, Events, Reach
from modelhost.serving.history import Kind, Outcome, Record
from tests.modelhost.serving.workshop import eventually

TTL = 10.0


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Member:
    """One process' announcements, and who hears of them there: slow while `gate` is not set."""

    def __init__(self, place: DirectoryPlace, clock: Clock, *, first: bool = True, by_claim: bool = False) -> None:
        self.first = first
        self.heard: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self._events = Events()
        self._events.subscribe(self._hear, hears=[Reach.WHOLE])
        self.told = Announcements(place, "told", self._events, Reach.WHOLE, TTL, clock, by_claim=by_claim)

    def tell(self, key: str) -> None:
        self.told.tell(key, event(key))

    def look(self, *untold: str) -> None:
        self.told.look(lambda: [(key, event(key)) for key in untold], lambda: self.first)

    def settle(self, *untold: str) -> None:
        """Looks, and once more when those who hear of it have."""
        self.look(*untold)
        assert self._events.flush()
        self.look()

    def _hear(self, event: Event) -> None:
        assert self.gate.wait(30)
        self.heard.append(event.record.why)


def event(key: str) -> Event:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    return Event(Record(at, Kind.SWAP, Outcome.SWITCHED, "ann", key, 1, {}, {}), reach=Reach.WHOLE)


@pytest.fixture
def place(tmp_path: Path) -> DirectoryPlace:
    root = tmp_path / "models"
    root.mkdir()
    return DirectoryPlace(root, "translator")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def passing(clock: Clock, members: Iterable[Member], *untold: str) -> None:
    """A ttl goes by, while all look on."""
    for _ in range(5):
        for member in members:
            member.settle(*untold)
        clock.now += TTL / 4


def test_it_is_told_once_however_many_threads_of_a_process_tell_it(place: DirectoryPlace, clock: Clock) -> None:
    anna, together = Member(place, clock), threading.Barrier(8)

    def tell() -> None:
        together.wait(30)
        for key in "abcdef":
            anna.tell(key)

    threads = [threading.Thread(target=tell) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    anna.settle()
    assert sorted(anna.heard) == [*"abcdef"]
    assert anna.told.marked() == {*"abcdef"}


def test_a_mark_is_made_when_subscribers_have_heard_and_not_before(place: DirectoryPlace, clock: Clock) -> None:
    anna = Member(place, clock)
    anna.gate.clear()
    anna.tell("a")
    anna.look()
    assert anna.told.marked() == set()
    anna.gate.set()
    anna.settle()
    assert anna.told.marked() == {"a"} and anna.heard == ["a"]


def test_what_has_a_mark_is_told_by_nobody_else_and_not_after_a_restart(place: DirectoryPlace, clock: Clock) -> None:
    anna = Member(place, clock)
    anna.tell("a")
    anna.settle()
    again, bert = Member(place, clock), Member(place, clock)
    passing(clock, [again, bert], "a")
    assert again.heard == bert.heard == []
    assert bert.told.knows("a")


def test_a_mark_of_a_version_before_this_one_says_the_same(place: DirectoryPlace, clock: Clock) -> None:
    place.put("told/a.json", b"{}\n")
    anna = Member(place, clock)
    passing(clock, [anna], "a")
    assert anna.heard == [] and anna.told.knows("a")


def test_what_has_none_for_a_ttl_is_told_once_by_the_first_of_those_that_live(
    place: DirectoryPlace, clock: Clock
) -> None:
    first, other = Member(place, clock), Member(place, clock, first=False)
    for member in (first, other):
        member.look("a")
    clock.now = TTL - 0.1
    for member in (first, other):
        member.settle("a")
    assert first.heard == other.heard == [], "who told may live, and mark it"
    passing(clock, [first, other], "a")
    other.first = True  # the first has ended since
    passing(clock, [other], "a")
    assert (first.heard, other.heard) == (["a"], [])


def test_who_ended_between_telling_and_marking_tells_again_rather_than_never(
    place: DirectoryPlace, clock: Clock
) -> None:
    anna = Member(place, clock)
    anna.tell("a")
    again = Member(place, clock)
    passing(clock, [again], "a")
    eventually(lambda: anna.heard == ["a"])
    assert again.heard == ["a"] and again.told.marked() == {"a"}


def test_who_could_not_mark_while_the_place_was_away_has_a_ttl_when_it_is_back(
    place: DirectoryPlace, clock: Clock
) -> None:
    anna, bert = Member(place, clock, first=False), Member(place, clock)
    bert.look("a")
    anna.tell("a")
    away = place.root.rename(place.root.with_name("away"))
    passing(clock, [anna, bert], "a")
    assert anna.heard == ["a"] and bert.heard == []
    away.rename(place.root)
    bert.settle("a")
    assert bert.heard == [], "nobody could have marked it"
    anna.settle()
    passing(clock, [bert], "a")
    assert bert.heard == [] and bert.told.marked() == {"a"}


def test_of_those_who_claim_it_at_once_one_tells(place: DirectoryPlace, clock: Clock) -> None:
    members, together = [Member(place, clock, by_claim=True) for _ in range(6)], threading.Barrier(6)

    def look(member: Member) -> None:
        together.wait(30)
        member.settle("a")

    threads = [threading.Thread(target=look, args=(member,)) for member in members]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    passing(clock, members, "a")
    assert [key for member in members for key in member.heard] == ["a"]


def test_a_claim_of_one_that_ended_is_taken_over_after_a_ttl(place: DirectoryPlace, clock: Clock) -> None:
    claimed = Member(place, clock, by_claim=True)
    claimed.gate.clear()  # it never comes to tell
    claimed.look("a")
    first, other = Member(place, clock, by_claim=True), Member(place, clock, first=False, by_claim=True)
    first.settle("a")
    other.settle("a")
    assert first.heard == other.heard == []
    passing(clock, [first, other], "a")
    assert (first.heard, other.heard) == (["a"], [])
    claimed.gate.set()


def test_who_closes_waits_for_those_who_still_hear_and_marks_it(place: DirectoryPlace, clock: Clock) -> None:
    anna = Member(place, clock)
    anna.gate.clear()
    anna.tell("a")
    anna.told.close(0.01)
    assert anna.told.marked() == set(), "nobody has heard"
    closing = threading.Thread(target=anna.told.close, args=(30.0,))
    closing.start()
    anna.gate.set()
    closing.join(30)
    assert anna.told.marked() == {"a"}


def test_only_the_latest_marks_are_kept(place: DirectoryPlace, clock: Clock) -> None:
    anna = Member(place, clock)
    keys = [f"{number:03d}" for number in range(60)]
    for key in keys:
        anna.tell(key)
    anna.settle()
    assert anna.told.marked() == set(keys[-50:])
