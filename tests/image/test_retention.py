"""What may go, as properties: whatever the history, what a rollback needs stays."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from release.image.retention import Known, Situation, Stopped, plan, targets
from release.image.store import Image

IDS = [f"sha256:{n}" for n in range(8)]
STANDINGS = ["good", "rejected", "withdrawn", "unobserved", "new"]


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    count = draw(st.integers(0, 10))
    releases = [
        Known(
            f"v1.{n}.0-abcdef1",
            draw(st.sampled_from(IDS)),
            draw(st.sampled_from(STANDINGS)),
            draw(st.one_of(st.none(), st.integers(0, 9).map(lambda h: f"2026-01-01T0{h}:00:00Z"))),
        )
        for n in range(count)
    ]
    live = draw(st.one_of(st.none(), st.sampled_from([r.name for r in releases]))) if releases else None
    stopped = [Stopped(f"c{n}", f"name{n}", draw(st.sampled_from(IDS))) for n in range(draw(st.integers(0, 3)))]
    return Situation(
        images=[Image(i, f"app:{i[-1]}", size=10) for i in draw(st.lists(st.sampled_from(IDS), unique=True))],
        releases=releases,
        live=live,
        running=draw(st.lists(st.sampled_from(IDS), max_size=2)),
        in_progress=draw(st.lists(st.sampled_from(IDS), max_size=1)),
        stopped=stopped,
        standby=draw(st.one_of(st.none(), st.sampled_from([s.id for s in stopped]))) if stopped else None,
        leftovers=draw(st.lists(st.sampled_from(["l1", "l2"]), max_size=2)),
    )


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(situations(), st.integers(1, 4))
def test_every_image_is_either_kept_or_goes(situation: Situation, retain: int) -> None:
    decided = plan(situation, retain)
    kept, going = [k.image.id for k in decided.keep], [g.image.id for g in decided.images]
    assert sorted(kept + going) == sorted(image.id for image in situation.images)
    assert all(k.reason for k in decided.keep) and all(g.reason for g in decided.images)
    assert decided.bytes == 10 * len(going)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(situations(), st.integers(1, 4))
def test_what_serves_runs_or_is_on_its_way_never_goes(situation: Situation, retain: int) -> None:
    going = {g.image.id for g in plan(situation, retain).images}
    live = {r.image_id for r in situation.releases if r.name == situation.live}
    standby = {s.image_id for s in situation.stopped if s.id == situation.standby}
    assert not going & (live | set(situation.running) | set(situation.in_progress) | standby)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(situations(), st.integers(1, 4))
def test_rollback_targets_are_good_distinct_and_at_most_retain(situation: Situation, retain: int) -> None:
    found = targets(situation.releases, situation.live, retain)
    images = [release.image_id for release in found]
    live = {r.image_id for r in situation.releases if r.name == situation.live}
    assert len(images) == len(set(images)) <= retain and not set(images) & live
    assert all(release.standing == "good" for release in found)
    assert not set(images) & {g.image.id for g in plan(situation, retain).images}
    served = {
        r.image_id for r in situation.releases if r.standing == "good" and r.last_live_at and r.name != situation.live
    }
    assert len(found) == min(retain, len(served - live))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(situations())
def test_a_larger_retain_never_takes_more(situation: Situation) -> None:
    fewer = {g.image.id for g in plan(situation, 2).images}
    assert {g.image.id for g in plan(situation, 3).images} <= fewer


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(situations())
def test_stopped_containers_go_and_the_standby_stays(situation: Situation) -> None:
    going = {stopped.id for stopped in plan(situation).containers}
    assert going == {stopped.id for stopped in situation.stopped} - {situation.standby}


def test_failed_and_duplicate_releases_do_not_use_up_the_three() -> None:
    history = [
        Known("v1.0.0-a", IDS[0], "good", "2026-01-01T00:00:00Z"),
        Known("v1.1.0-a", IDS[1], "good", "2026-01-02T00:00:00Z"),
        Known("v1.2.0-a", IDS[2], "good", "2026-01-03T00:00:00Z"),
        Known("v1.3.0-a", IDS[3], "rejected", "2026-01-04T00:00:00Z"),
        Known("v1.4.0-a", IDS[2], "good", "2026-01-05T00:00:00Z"),
        Known("v1.5.0-a", IDS[4], "withdrawn", "2026-01-06T00:00:00Z"),
        Known("v1.6.0-a", IDS[5], "good", "2026-01-07T00:00:00Z"),
    ]
    images = [Image(i, f"app:{i[-1]}", size=1) for i in IDS[:7]]
    decided = plan(Situation(images=images, releases=history, live="v1.6.0-a"))
    assert [(k.image.id, k.reason) for k in decided.keep] == [
        (IDS[0], "rollback target 3 of 3"),
        (IDS[1], "rollback target 2 of 3"),
        (IDS[2], "rollback target 1 of 3"),
        (IDS[5], "live"),
    ]
    assert {g.image.id: g.reason for g in decided.images} == {
        IDS[3]: "rejected",
        IDS[4]: "withdrawn",
        IDS[6]: "never deployed",
    }
