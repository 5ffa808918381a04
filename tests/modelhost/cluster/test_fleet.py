"""Three processes on one registry, under load: promote and rollback with one slow, dead, unable, and the registry gone.

The fixture asserts for every test that no request failed and that no answer came from a mixed set.
"""

from __future__ import annotations

import signal

import pytest

from modelhost.cluster.desired import DesiredLog
from modelhost.cluster.place import place_at
from modelhost.errors import Conflict, LoadFailed, ModelHostError, RegistryUnavailable, Unavailable
from modelhost.registry.base import Status
from modelhost.registry.directory import utc_now
from tests.modelhost.cluster.fleet import PATIENCE, Fleet, Replica
from tests.modelhost.loading.published import damage


def words_of(replica: Replica) -> dict[str, str]:
    """What a request gets: component → the words of its model."""
    found: dict[str, str] = replica.ask("/answer")[1]["words"]
    return found


def test_all_load_before_any_serves_and_a_slow_one_keeps_the_others_waiting(fleet: Fleet) -> None:
    fleet.begin("1.0.0", "2.0.0")
    anna, bert, carl = fleet.replicas
    carl.tell("slow", "2.0.0")
    promotion = fleet.promoting("2.0.0")
    for replica in (anna, bert):
        fleet.until(lambda r=replica: r.health()["state"] == "loaded", "loaded beside the live set")  # type: ignore[misc]
    fleet.until(lambda: carl.health()["state"] == "loading", "still loading")
    assert [replica.serves for replica in fleet.replicas] == [1, 1, 1]
    assert all(replica.is_ready for replica in fleet.replicas)
    assert not promotion.done()
    carl.tell("slow")
    assert promotion.result(60) == 2
    fleet.until_all_serve(2)
    fleet.users.end()
    for seen in fleet.users.seen.values():
        assert seen == sorted(seen) and set(seen) <= {1, 2}
    assert fleet.coordinator.served(2, PATIENCE).behind == ()


def test_one_that_cannot_load_aborts_the_switch_for_all_and_is_named(fleet: Fleet) -> None:
    fleet.begin("1.0.0", "2.0.0")
    fleet.replicas[1].tell("unable", "2.0.0")
    with pytest.raises(LoadFailed, match=r"bert: .*no device is free"):
        fleet.promote("2.0.0")
    assert fleet.desired.aborted is not None and "bert" in fleet.desired.aborted.reason
    assert [replica.serves for replica in fleet.replicas] == [1, 1, 1]
    fleet.replicas[1].tell("unable")
    assert fleet.promote("2.0.0") == 3, "the number of what came to nothing is not used again"
    fleet.until_all_serve(3)


def test_one_that_is_too_slow_aborts_the_switch_for_all(fleet: Fleet) -> None:
    fleet.begin("1.0.0", "2.0.0")
    fleet.replicas[0].tell("slow", "2.0.0")
    with pytest.raises(Unavailable, match=r"not loaded in time by .*anna"):
        fleet.promote("2.0.0", patience=1.0)
    assert [replica.serves for replica in fleet.replicas] == [1, 1, 1]
    fleet.replicas[0].tell("slow")
    for replica in fleet.replicas:
        fleet.until(lambda r=replica: r.health()["state"] == "serving", "let go")  # type: ignore[misc]
        assert replica.is_ready


def test_a_dead_one_leaves_the_barrier_and_loads_what_is_committed_before_it_is_ready(fleet: Fleet) -> None:
    fleet.begin("1.0.0", "2.0.0")
    carl = fleet.replicas[2]
    fleet.users.spared.add("carl")
    carl.signal(signal.SIGKILL)
    assert fleet.promote("2.0.0") == 2
    fleet.until_all_serve(2, fleet.replicas[:2])
    carl.tell("slow", "2.0.0")
    carl.start()
    fleet.until(lambda: (carl.home / "port").exists() and carl.health()["state"] == "loading", "loading")
    assert (carl.serves, carl.is_ready) == (0, False)
    carl.tell("slow")
    fleet.until_all_serve(2)
    fleet.users.spared.clear()


def test_one_that_was_asleep_is_not_ready_until_it_has_what_was_committed_meanwhile(fleet: Fleet) -> None:
    fleet.begin("1.0.0", "2.0.0")
    carl = fleet.replicas[2]
    fleet.users.spared.add("carl")
    carl.signal(signal.SIGSTOP)
    assert fleet.promote("2.0.0") == 2
    fleet.until_all_serve(2, fleet.replicas[:2])
    row = next(row for row in fleet.coordinator.report().members if row.member == "carl")
    assert row.behind
    carl.tell("slow", "2.0.0")
    carl.signal(signal.SIGCONT)
    fleet.until(lambda: not carl.is_ready and carl.serves == 1, "behind, and says so")
    carl.tell("slow")
    fleet.until_all_serve(2)
    fleet.users.spared.clear()


def test_a_rollback_waits_for_nobody_and_who_lacks_the_old_set_is_not_ready_until_it_serves_it(fleet: Fleet) -> None:
    fleet.begin("1.0.0", "2.0.0")
    assert fleet.promote("2.0.0") == 2
    fleet.until_all_serve(2)
    anna, bert, carl = fleet.replicas
    fleet.users.spared.add("carl")
    carl.signal(signal.SIGKILL)
    carl.start()  # it holds nothing of the old set now
    fleet.until(lambda: (carl.home / "port").exists() and carl.is_ready, "back")
    carl.tell("slow", "1.0.0")
    assert fleet.rollback() == 3
    fleet.until_all_serve(3, [anna, bert])
    fleet.until(lambda: not carl.is_ready, "not ready")
    fleet.until(lambda: set(fleet.coordinator.report().behind) == {"carl"}, "and the report says who")
    carl.tell("slow")
    fleet.until_all_serve(3)
    fleet.users.spared.clear()
    assert carl.ask("/answer")[1]["words"] == {"encoder": "encoder 1.0.0", "decoder": "decoder 1.0.0"}
    assert fleet.shop.registry.find("encoder", "2.0.0").status is Status.REJECTED


def test_a_rollback_is_not_kept_by_one_that_cannot_load_the_old_set_which_is_not_ready_and_says_why(
    fleet: Fleet,
) -> None:
    fleet.both_served()
    anna, bert, carl = fleet.replicas
    fleet.users.spared.add("carl")
    carl.signal(signal.SIGKILL)
    carl.start()  # it holds nothing of the old set now
    fleet.until_runs(carl)
    carl.tell("unable", "1.0.0")
    assert fleet.rollback() == 3
    fleet.until_all_serve(3, [anna, bert])
    fleet.until(lambda: "no device is free" in carl.health()["why"], "it says why")
    assert not carl.is_ready
    assert words_of(carl) == {"encoder": "encoder 2.0.0", "decoder": "decoder 2.0.0"}, "it serves on, to nobody new"
    fleet.until(lambda: set(fleet.coordinator.report().behind) == {"carl"}, "the report names it")
    assert anna.is_ready and bert.is_ready
    carl.tell("unable")
    fleet.until_all_serve(3)
    fleet.users.spared.clear()


def test_a_rollback_while_one_is_dead_is_what_that_one_loads_before_it_is_ready_again(fleet: Fleet) -> None:
    fleet.both_served()
    anna, bert, carl = fleet.replicas
    fleet.users.spared.add("carl")
    carl.signal(signal.SIGKILL)
    assert fleet.rollback() == 3
    fleet.until_all_serve(3, [anna, bert])
    carl.tell("slow", "1.0.0")
    carl.start()
    fleet.until(lambda: (carl.home / "port").exists() and carl.health()["state"] == "loading", "loading")
    assert (carl.serves, carl.is_ready) == (0, False)
    carl.tell("slow")
    fleet.until_all_serve(3)
    fleet.users.spared.clear()


def test_a_rollback_while_one_is_asleep_waits_for_nobody_and_that_one_goes_back_when_it_wakes(fleet: Fleet) -> None:
    fleet.both_served()
    anna, bert, carl = fleet.replicas
    fleet.users.spared.add("carl")
    carl.signal(signal.SIGSTOP)
    assert fleet.rollback() == 3
    fleet.until_all_serve(3, [anna, bert])
    row = next(row for row in fleet.coordinator.report().members if row.member == "carl")
    assert row.behind
    carl.signal(signal.SIGCONT)
    fleet.until_all_serve(3)
    assert words_of(carl) == {"encoder": "encoder 1.0.0", "decoder": "decoder 1.0.0"}
    fleet.users.spared.clear()


def test_a_rollback_to_a_damaged_set_is_passed_over_and_nobody_is_unready(fleet: Fleet) -> None:
    fleet.begin("1.0.0", "2.0.0", "3.0.0")
    for generation, version in ((2, "2.0.0"), (3, "3.0.0")):
        assert fleet.promote(version) == generation
        fleet.until_all_serve(generation)
    damage(fleet.shop.registry.find("decoder", "2.0.0"), "cut")
    assert fleet.rollback() == 4
    fleet.until_all_serve(4)
    for replica in fleet.replicas:
        assert words_of(replica) == {"encoder": "encoder 1.0.0", "decoder": "decoder 1.0.0"}
    assert fleet.shop.registry.find("encoder", "2.0.0").status is Status.STABLE


def test_a_rollback_without_the_registry_moves_nobody_says_so_and_goes_when_it_is_back(fleet: Fleet) -> None:
    fleet.both_served()
    root, away = fleet.shop.root, fleet.path / "away"
    root.rename(away)
    for replica in fleet.replicas:
        fleet.until(lambda r=replica: r.health()["away"] != "", "says so")  # type: ignore[misc]
    with pytest.raises(RegistryUnavailable, match=r"what serves serves on: .*: there is no such directory") as refused:
        fleet.rollback()
    assert "Errno" not in str(refused.value)
    assert [(replica.serves, replica.is_ready) for replica in fleet.replicas] == [(2, True)] * 3
    away.rename(root)
    assert fleet.rollback() == 3
    fleet.until_all_serve(3)


def test_a_rollback_overtakes_a_promotion(fleet: Fleet) -> None:
    fleet.begin("1.0.0", "2.0.0", "3.0.0")
    assert fleet.promote("2.0.0") == 2
    fleet.until_all_serve(2)
    fleet.replicas[0].tell("slow", "3.0.0")
    promotion = fleet.promoting("3.0.0")
    fleet.until(lambda: fleet.desired.proposal is not None, "proposed")
    assert fleet.rollback() == 4
    with pytest.raises(Conflict, match="overtaken by a rollback"):
        promotion.result(60)
    fleet.until_all_serve(4)
    fleet.replicas[0].tell("slow")
    assert fleet.desired.committed is not None and fleet.desired.committed.versions["encoder"] == "1.0.0"


@pytest.mark.parametrize("how", ["renamed away", "mounted empty", "forbidden"])
def test_without_the_registry_all_serve_on_and_say_so_and_then_follow_again(how: str, fleet: Fleet) -> None:
    fleet.begin("1.0.0", "2.0.0")
    root, away = fleet.shop.root, fleet.path / "away"
    root.rename(away)
    if how == "mounted empty":
        root.mkdir()
    if how == "forbidden":
        root.write_text("a file, where a directory should be, refuses root too")
    for replica in fleet.replicas:
        fleet.until(lambda r=replica: r.health()["away"] != "", "says so")  # type: ignore[misc]
        assert replica.is_ready and replica.serves == 1
    with pytest.raises(ModelHostError):
        fleet.promote("2.0.0")
    assert [replica.is_ready for replica in fleet.replicas] == [True, True, True]
    if how == "mounted empty":
        assert list(root.iterdir()) == [], "nobody writes to what is not the registry"
        root.rmdir()
    if how == "forbidden":
        root.unlink()
    away.rename(root)

    def has_returned(replica: Replica) -> bool:
        assert replica.is_ready, "it flaps"
        return bool(replica.health()["away"] == "")

    for replica in fleet.replicas:
        fleet.until(lambda r=replica: has_returned(r), "reaches it again")  # type: ignore[misc]
    assert fleet.promote("2.0.0") == 2
    fleet.until_all_serve(2)


def test_a_coordinator_that_dies_leaves_nothing_behind_that_stays(fleet: Fleet) -> None:
    fleet.begin("1.0.0", "2.0.0")
    log = DesiredLog(place_at(fleet.shop.root, "translator"))
    left = log.read().propose({"encoder": "2.0.0", "decoder": "2.0.0"}, "eve", "then killed", utc_now(), 300.0)
    log.write(left)
    for replica in fleet.replicas:
        fleet.until(lambda r=replica: r.health()["state"] == "loaded", "loaded")  # type: ignore[misc]
    assert fleet.promote("2.0.0") == 3
    assert fleet.desired.aborted is not None and "no life" in fleet.desired.aborted.reason
    fleet.until_all_serve(3)
