"""Which release a rollback goes to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from release.errors import Refused, UsageError
from release.ledger.records import DeploymentRow, DeploymentState, Kind, ReleaseRow, Standing
from release.naming import Slot
from release.rollout.targets import choose, is_forward, stays_in


def release(number: int, standing: Standing = Standing.GOOD, *, barrier: bool = False, live: bool = True) -> ReleaseRow:
    return ReleaseRow(
        name=f"v1.{number}.0-000000{number}",
        tag=f"v1.{number}.0",
        commit=str(number) * 40,
        image_id=f"sha256:{number}",
        reference=f"app:v1.{number}.0",
        standing=standing,
        barrier=barrier,
        created_at=f"2026-01-0{number}T00:00:00.000Z",
        last_live_at=f"2026-01-0{number}T01:00:00.000Z" if live else None,
    )


def change(
    to: ReleaseRow,
    before: ReleaseRow | None,
    state: DeploymentState = DeploymentState.LIVE,
    kind: Kind = Kind.DEPLOY,
    **facts: object,
) -> DeploymentRow:
    return DeploymentRow(
        id=f"d-{to.name}",
        kind=kind,
        release=to.name,
        state=state,
        actor="ada",
        host="h",
        pid=1,
        started_at="",
        previous_release=before.name if before else None,
        message="the guard tripped",
        facts=dict(facts),
    )


A, B, C = release(1), release(2), release(3)


def test_goes_to_the_release_that_was_live_before() -> None:
    assert choose(C.name, [C, B, A], [change(C, B), change(B, A)], None).release == B


def test_repeated_with_nothing_deployed_between_it_does_nothing_and_says_so() -> None:
    back = change(B, C, kind=Kind.ROLLBACK)
    choice = choose(B.name, [C, B, A], [back, change(C, B), change(B, A)], None)
    assert choice.release is None
    assert "already rolled back" in choice.reason and "--to" in choice.reason


def test_a_move_forward_by_name_can_be_undone_like_a_deployment() -> None:
    forward = change(C, B, kind=Kind.ROLLBACK, forward=True)
    assert choose(C.name, [C, B, A], [forward, change(B, C, kind=Kind.ROLLBACK)], None).release == B


def test_after_the_guard_went_back_a_bare_rollback_does_not_go_further() -> None:
    refused = change(C, B, DeploymentState.REFUSED, switching_at=1.0)
    choice = choose(B.name, [B, A], [refused, change(B, A)], None)
    assert choice.release is None
    assert "taken back already" in choice.reason


def test_a_deployment_that_never_moved_traffic_does_not_count_as_a_change() -> None:
    refused = change(C, B, DeploymentState.REFUSED)
    assert choose(B.name, [B, A], [refused, change(B, A)], None).release == A


def test_during_the_observation_of_a_deployment_it_takes_that_one_back() -> None:
    running = change(C, B, DeploymentState.RUNNING, switching_at=1.0)
    assert choose(C.name, [C, B, A], [running, change(B, A)], None).release == B


def test_once_traffic_is_back_while_the_run_still_cleans_up_it_goes_no_further() -> None:
    cleaning_up = change(C, B, DeploymentState.RUNNING, switching_at=1.0)
    choice = choose(B.name, [C, B, A], [cleaning_up, change(B, A)], None)
    assert choice.release is None and "taken back already" in choice.reason


def test_a_way_back_that_the_ledger_could_not_record_is_not_gone_twice() -> None:
    choice = choose(B.name, [C, B, A], [change(C, B), change(B, A)], None)
    assert choice.release is None and "taken back already" in choice.reason


def test_a_run_that_could_not_go_back_and_still_serves_can_be_taken_back() -> None:
    stayed = change(C, B, DeploymentState.UNDONE, switching_at=1.0)
    assert choose(C.name, [C, B, A], [stayed, change(B, A)], None).release == B


@pytest.mark.parametrize("standing", [Standing.REJECTED, Standing.WITHDRAWN])
def test_skips_what_was_rejected_or_withdrawn(standing: Standing) -> None:
    bad = release(2, standing)
    assert choose(C.name, [C, bad, A], [change(C, bad), change(bad, A)], None).release == A


def test_refuses_where_there_is_nothing_to_go_back_to() -> None:
    with pytest.raises(Refused, match="no good release before"):
        choose(A.name, [A], [change(A, None)], None)
    with pytest.raises(Refused, match="nothing is live"):
        choose(None, [A], [], None)


def test_does_not_go_behind_a_barrier_unless_named() -> None:
    wall = release(3, barrier=True)
    with pytest.raises(Refused, match="barrier"):
        choose(wall.name, [wall, B], [change(wall, B)], None)
    assert choose(wall.name, [wall, B], [change(wall, B)], B.tag).release == B


def test_by_name_a_withdrawn_release_may_come_back_and_a_rejected_one_not() -> None:
    withdrawn, rejected = release(1, Standing.WITHDRAWN), release(2, Standing.REJECTED)
    rows = [C, rejected, withdrawn]
    assert choose(C.name, rows, [], withdrawn.name).release == withdrawn
    with pytest.raises(Refused, match="rejected") as caught:
        choose(C.name, rows, [], rejected.tag)
    assert "release accept" in (caught.value.hint or "")


def test_a_name_that_nobody_knows_or_that_is_two_is_a_usage_error_that_lists_what_there_is() -> None:
    with pytest.raises(UsageError) as caught:
        choose(C.name, [C, B], [], "v9.9.9")
    assert B.name in (caught.value.hint or "")
    twin = ReleaseRow(**{**B.__dict__, "name": "v1.2.0-fffffff"})
    with pytest.raises(UsageError, match="more than one"):
        choose(C.name, [C, B, twin], [], "v1.2.0")


def test_the_live_release_by_name_is_nothing_to_do() -> None:
    assert choose(C.name, [C, B], [], C.tag).release is None


def test_forward_is_towards_the_newer_release() -> None:
    assert is_forward(A, B) and not is_forward(B, A) and not is_forward(None, A)


def test_by_the_ledger_a_slot_holds_what_went_live_there_last() -> None:
    first, second, third = (change(release(n), None) for n in (1, 2, 3))
    runs = [replace(third, slot="green"), replace(second, slot="blue"), replace(first, slot="green")]
    assert stays_in(Slot.BLUE, runs) == second.release
    assert stays_in(Slot.GREEN, runs) == third.release
    assert stays_in(Slot.GREEN, runs[1:2]) is None


def test_a_candidate_that_was_taken_back_leaves_the_standby_in_its_slot() -> None:
    standby = replace(change(release(1), None), slot="blue")
    refused = change(release(2), None, DeploymentState.REFUSED, candidate_expected=True, displaced=["c1"], stopping=[])
    assert stays_in(Slot.BLUE, [replace(refused, slot="blue"), standby]) == standby.release


@pytest.mark.parametrize(
    ("state", "kind", "facts"),
    [
        (DeploymentState.RUNNING, Kind.DEPLOY, {"candidate_expected": True}),
        (DeploymentState.RUNNING, Kind.ROLLBACK, {}),
        (DeploymentState.FAILED, Kind.CHECK, {"candidate_expected": True, "unsettled": ["start"]}),
        (DeploymentState.RUNNING, Kind.DEPLOY, {"stopping": ["c1"]}),
    ],
    ids=["candidate under way", "rollback under way", "not undone", "being stopped"],
)
def test_the_ledger_does_not_say_what_a_slot_holds_where_a_run_may_have_changed_it(
    state: DeploymentState, kind: Kind, facts: dict[str, object]
) -> None:
    standby = replace(change(release(1), None), slot="blue")
    run = replace(change(release(2), None, state, kind, **facts), slot="blue")
    assert stays_in(Slot.BLUE, [run, standby]) is None


@pytest.mark.parametrize(("typed", "told"), [("", "''"), (" ", "' '"), ("v9", "v9"), ("v" * 5000, "v" * 79 + "…")])
def test_a_name_nobody_knows_is_repeated_so_that_it_shows_and_is_not_long(typed: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose("v1.0.0-aaaaaaa", [release(1)], [], typed)
    assert caught.value.message == f"no release {told} is known here"
