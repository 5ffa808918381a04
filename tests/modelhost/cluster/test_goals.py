"""What a member does next, from whatever state it is in."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from modelhost.cluster.desired import Committed, Desired, Proposal
from modelhost.cluster.goals import Abandon, Flip, Holding, Load, choose, has_arrived

AT = datetime(2026, 1, 1, tzinfo=UTC)
numbers = st.integers(1, 5)
sets = st.sampled_from([{"model": "1.0.0"}, {"model": "2.0.0"}])
committed = st.builds(
    Committed,
    generation=numbers,
    versions=sets,
    kind=st.just("promote"),
    who=st.just("a"),
    why=st.just("b"),
    at=st.just(AT),
)
proposals = st.builds(
    Proposal,
    generation=st.integers(6, 8),
    versions=sets,
    who=st.just("a"),
    why=st.just("b"),
    at=st.just(AT),
    patience=st.just(1.0),
)
desires = st.builds(Desired, committed=st.none() | committed, proposal=st.none() | proposals)
generations = st.frozensets(st.integers(1, 8), max_size=4)


@st.composite
def holdings(draw: st.DrawFn) -> Holding:
    prepared, loading = draw(generations), draw(generations)
    return Holding(
        draw(st.none() | st.tuples(numbers, sets)),
        prepared,
        loading - prepared,
        draw(st.dictionaries(st.integers(1, 8), st.floats(0, 20), max_size=3)),
    )


@settings(deadline=None)
@given(desires, holdings(), st.floats(0, 20))
def test_only_a_committed_set_that_is_in_memory_is_flipped_to(desired: Desired, holding: Holding, now: float) -> None:
    flips = [action.goal for action in choose(desired, holding, now) if isinstance(action, Flip)]
    assert flips == [
        goal
        for goal in [desired.committed]
        if goal is not None and goal.generation in holding.prepared and not has_arrived(desired, holding.serves)
    ]


@settings(deadline=None)
@given(desires, holdings(), st.floats(0, 20))
def test_nothing_is_loaded_twice_at_a_time_nor_kept_that_nobody_wants(
    desired: Desired, holding: Holding, now: float
) -> None:
    actions = choose(desired, holding, now)
    loads = {action.goal.generation for action in actions if isinstance(action, Load)}
    abandoned = {number for action in actions if isinstance(action, Abandon) for number in action.generations}
    assert not loads & (holding.prepared | holding.loading)
    wanted = {goal.generation for goal in (desired.committed, desired.proposal) if goal is not None}
    assert (holding.prepared | holding.loading) - abandoned <= wanted
    assert loads <= wanted


@settings(deadline=None)
@given(desires, holdings())
def test_what_is_committed_is_always_come_closer_to(desired: Desired, holding: Holding) -> None:
    goal = desired.committed
    if goal is None or has_arrived(desired, holding.serves):
        return
    doing = [action for action in choose(desired, holding, 1e9) if isinstance(action, Load | Flip)]
    assert goal.generation in holding.loading or goal in [action.goal for action in doing]


@settings(deadline=None)
@given(desires, holdings(), st.floats(0, 20))
def test_a_proposal_that_failed_here_is_not_tried_again(desired: Desired, holding: Holding, now: float) -> None:
    if desired.proposal is not None and desired.proposal.generation in holding.failed:
        assert Load(desired.proposal) not in choose(desired, holding, now)
