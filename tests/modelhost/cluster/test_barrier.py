"""What becomes of a proposal, whatever the members say."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from modelhost.cluster.barrier import Abort, Commit, Standing, View, Wait, decide
from modelhost.cluster.members import State

GENERATION = 7
standings = st.builds(
    Standing,
    living=st.booleans(),
    state=st.sampled_from(State),
    generation=st.sampled_from([0, 6, GENERATION]),
    reason=st.sampled_from(["", "no room"]),
)
views = st.builds(
    View,
    generation=st.just(GENERATION),
    members=st.dictionaries(st.sampled_from("abcdef"), standings),
    deadline=st.just(100.0),
    at_least=st.integers(0, 3),
)
times = st.floats(0, 200)


def has_loaded(each: Standing) -> bool:
    return each.generation == GENERATION and each.state in (State.LOADED, State.SERVING)


def is_unable(each: Standing) -> bool:
    return each.generation == GENERATION and each.state is State.UNABLE


@settings(deadline=None)
@given(views, times)
def test_it_is_committed_exactly_where_all_that_live_have_loaded_it_and_enough_do(view: View, now: float) -> None:
    living = [each for each in view.members.values() if each.living]
    enough = len(living) >= view.at_least
    assert isinstance(decide(view, now), Commit) == (enough and all(map(has_loaded, living)))


@settings(deadline=None)
@given(views, times)
def test_one_that_lives_and_cannot_aborts_it_whatever_the_others_do(view: View, now: float) -> None:
    decision = decide(view, now)
    unable = {name for name, each in view.members.items() if each.living and is_unable(each)}
    assert (isinstance(decision, Abort) and not decision.late) == bool(unable)
    if unable:
        assert isinstance(decision, Abort) and set(decision.blamed) == unable
        assert all(name in decision.reason for name in unable)


@settings(deadline=None)
@given(views, times)
def test_the_dead_and_what_they_said_count_for_nothing(view: View, now: float) -> None:
    living = {name: each for name, each in view.members.items() if each.living}
    assert decide(view, now) == decide(replace(view, members=living), now)


@settings(deadline=None)
@given(views)
def test_after_the_deadline_nobody_waits(view: View) -> None:
    assert not isinstance(decide(view, view.deadline), Wait)


@settings(deadline=None)
@given(views, times)
def test_whoever_is_waited_for_or_blamed_for_being_late_lives_and_has_not_loaded_it(view: View, now: float) -> None:
    decision = decide(view, now)
    named = decision.missing if isinstance(decision, Wait) else decision.blamed if isinstance(decision, Abort) else ()
    assert all(view.members[name].living and not has_loaded(view.members[name]) for name in named)


@settings(deadline=None)
@given(views, times, st.sampled_from("abcdef"))
def test_a_death_never_turns_a_commit_into_anything_else_as_long_as_enough_are_left(
    view: View, now: float, name: str
) -> None:
    everyone = replace(view, at_least=0)
    if isinstance(decide(everyone, now), Commit) and name in view.members:
        dead = {**view.members, name: replace(view.members[name], living=False)}
        assert isinstance(decide(replace(everyone, members=dead), now), Commit)
