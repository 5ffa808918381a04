"""Load and unload in a cluster: held by all living members or by none, given up by none but those who are to."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from modelhost.cluster.desired import Desired
from modelhost.errors import Conflict, LoadFailed
from modelhost.registry.directory import utc_now
from modelhost.registry.retention import Named
from tests.modelhost.cluster.crew import Crew, Hand
from tests.modelhost.cluster.fleet import ROOT, Fleet
from tests.modelhost.serving.workshop import TextLoader

HOLD = """
import sys
from modelhost.cluster.coordinator import Coordinator
from modelhost.cluster.place import place_at
from modelhost.registry.directory import DirectoryRegistry
from tests.modelhost.cluster.replica import TIMINGS
root = sys.argv[1]
Coordinator(place_at(root, "translator"), DirectoryRegistry(root), TIMINGS).hold("encoder", "2.0.0", who="ann")
"""


def two(crew: Crew, *versions: str) -> tuple[Hand, Hand]:
    """Members that serve the first of these versions."""
    crew.shop.publish("model", *versions)
    anna, bert = crew.hire("anna"), crew.hire("bert")
    crew.promote(model=versions[0])
    crew.until_served(1)
    return anna, bert


def holds(crew: Crew) -> list[str]:
    return [each.version for each in crew.log.read().held.holds]


def in_memory(hand: Hand) -> list[str]:
    return [each.version for each in hand.serving.pool.residents()]


def lacking(crew: Crew) -> dict[str, str]:
    (kept,) = crew.coordinator.report().held
    return dict(kept.lacking)


def test_a_load_returns_when_all_have_it_and_serves_nobody(crew: Crew) -> None:
    anna, bert = two(crew, "1.0.0", "2.0.0")
    assert crew.coordinator.hold("model", "2.0.0", who="ann")
    assert in_memory(anna) == in_memory(bert) == ["1.0.0", "2.0.0"]
    assert anna.versions == bert.versions == {"model": "1.0.0"}
    assert not crew.coordinator.hold("model", "2.0.0", who="bob"), "it was held before"
    assert not crew.coordinator.hold("model", "1.0.0", who="bob"), "what serves needs no hold"
    assert holds(crew) == ["2.0.0"] and lacking(crew) == {}
    assert Named("model", "2.0.0") in anna.follower.wanted()


def test_an_unload_reaches_all_whoever_brought_it_there(crew: Crew) -> None:
    anna, bert = two(crew, "1.0.0", "2.0.0", "3.0.0")
    crew.coordinator.hold("model", "2.0.0", who="ann")
    bert.serving.pool.lease("model", "3.0.0").release()
    for version in ("2.0.0", "3.0.0"):
        crew.coordinator.let_go("model", version, who="ann")
    assert in_memory(anna) == in_memory(bert) == ["1.0.0"] and holds(crew) == []
    crew.coordinator.hold("model", "2.0.0", who="ann")
    assert anna.loader.loads["model 2.0.0"] == 2, "one that was let go of can be held again"
    crew.coordinator.let_go("model", None, who="ann")
    assert in_memory(anna) == in_memory(bert) == ["1.0.0"] and holds(crew) == []
    with pytest.raises(Conflict, match="serves"):
        crew.coordinator.let_go("model", "1.0.0", who="ann")


def test_the_set_before_leaves_the_memory_of_all_too(crew: Crew) -> None:
    anna, bert = two(crew, "1.0.0", "2.0.0")
    crew.promote(model="2.0.0")
    crew.until_served(2)
    assert in_memory(anna) == in_memory(bert) == ["1.0.0", "2.0.0"], "it was kept for a quick way back"
    crew.coordinator.let_go("model", "1.0.0", who="ann")
    assert in_memory(anna) == in_memory(bert) == ["2.0.0"]


def test_a_member_that_cannot_load_it_is_named_and_nothing_is_held(crew: Crew) -> None:
    anna, _ = two(crew, "1.0.0", "2.0.0")
    loader = TextLoader()
    loader.failing["model 2.0.0"] = MemoryError("no device is free")
    crew.hire("carl", loader=loader)
    crew.until_served(1)
    with pytest.raises(LoadFailed, match=r"carl: .*no device is free"):
        crew.coordinator.hold("model", "2.0.0", who="ann")
    assert holds(crew) == []
    crew.until(lambda: in_memory(anna) == ["1.0.0"])
    del loader.failing["model 2.0.0"]
    assert crew.coordinator.hold("model", "2.0.0", who="ann"), "what was said of the first time counts no more"


def test_a_member_that_comes_later_holds_it_after_what_serves(crew: Crew) -> None:
    two(crew, "1.0.0", "2.0.0")
    crew.coordinator.hold("model", "2.0.0", who="ann")
    carl = crew.hire("carl")
    crew.until_served(1)
    crew.until(lambda: in_memory(carl) == ["1.0.0", "2.0.0"])


def test_a_member_that_comes_later_and_cannot_hold_it_is_ready_and_follows_on(crew: Crew) -> None:
    two(crew, "1.0.0", "2.0.0", "3.0.0")
    crew.coordinator.hold("model", "2.0.0", who="ann")
    loader = TextLoader()
    loader.failing["model 2.0.0"] = MemoryError("no device is free")
    carl = crew.hire("carl", loader=loader)
    crew.until(lambda: "no device is free" in lacking(crew).get("carl", ""))
    assert carl.follower.ready().ready
    crew.promote(model="3.0.0")
    crew.until_served(2)
    assert carl.follower.ready().ready
    with pytest.raises(LoadFailed, match="carl"):
        crew.coordinator.hold("model", "2.0.0", who="bob")
    assert holds(crew) == ["2.0.0"], "what others held before is held on"
    del loader.failing["model 2.0.0"]
    crew.until(lambda: lacking(crew) == {})


def test_what_is_promoted_or_rejected_is_held_no_longer(crew: Crew) -> None:
    anna, bert = two(crew, "1.0.0", "2.0.0")
    crew.coordinator.hold("model", "2.0.0", who="ann")
    crew.promote(model="2.0.0")
    crew.until_served(2)
    assert holds(crew) == []
    assert anna.loader.loads["model 2.0.0"] == 1, "it was in memory"
    crew.coordinator.hold("model", "1.0.0", who="ann")
    crew.coordinator.rollback(who="bob", reason="worse")
    crew.until_served(3)
    assert holds(crew) == []
    crew.until(lambda: in_memory(anna) == in_memory(bert) == ["1.0.0"])


def test_a_promotion_meanwhile_ends_a_load_well_and_a_rejection_does_not(crew: Crew) -> None:
    anna, _ = two(crew, "1.0.0", "2.0.0")
    gate = anna.loader.gate("model 2.0.0")
    with ThreadPoolExecutor(2) as threads:
        loading = threads.submit(crew.coordinator.hold, "model", "2.0.0", who="ann")
        crew.until(lambda: holds(crew) == ["2.0.0"])
        promoting = threads.submit(crew.promote, model="2.0.0")
        crew.until(lambda: crew.log.read().proposal is not None)
        gate.set()
        assert loading.result(60) and promoting.result(60) == 2
    crew.until_served(2)
    with ThreadPoolExecutor(1) as threads:
        crew.shop.publish("model", "3.0.0")
        gate = anna.loader.gate("model 3.0.0")
        loading = threads.submit(crew.coordinator.hold, "model", "3.0.0", who="ann")
        crew.until(lambda: holds(crew) == ["3.0.0"])
        crew.coordinator.let_go("model", "3.0.0", who="bob")
        with pytest.raises(Conflict, match="let go of"):
            loading.result(60)
        gate.set()
    crew.until(lambda: "3.0.0" not in in_memory(anna))


def test_a_hold_gives_way_to_a_switch_that_needs_its_room_and_not_to_another_hold(crew: Crew) -> None:
    crew.shop.publish("model", "1.0.0", "2.0.0", "3.0.0")
    size = crew.shop.registry.find("model", "1.0.0").info.bytes
    anna = crew.hire("anna", budget=2 * size)
    crew.promote(model="1.0.0")
    crew.until_served(1)
    crew.coordinator.hold("model", "2.0.0", who="ann")
    with pytest.raises(LoadFailed, match="anna"):
        crew.coordinator.hold("model", "3.0.0", who="bob")
    assert in_memory(anna) == ["1.0.0", "2.0.0"] and holds(crew) == ["2.0.0"]
    crew.promote(model="3.0.0")
    crew.until_served(2)
    crew.until(lambda: in_memory(anna) == ["2.0.0", "3.0.0"] and lacking(crew) == {})


def test_a_hold_stays_where_idle_versions_leave_and_goes_with_its_member(crew: Crew) -> None:
    anna, bert = two(crew, "1.0.0", "2.0.0")
    crew.coordinator.hold("model", "2.0.0", who="ann")
    assert not anna.serving.pool.discard("model", "2.0.0")
    crew.dismiss(bert)
    assert bert.serving.pool.residents() == [] and in_memory(anna) == ["1.0.0", "2.0.0"]


def test_a_state_from_before_there_were_holds_is_read_and_can_be_added_to(crew: Crew) -> None:
    crew.shop.publish("model", "1.0.0", "2.0.0")
    old = Desired().found({"model": "1.0.0"}, "ann", "first", utc_now()).model_dump(mode="json")
    del old["held"]
    crew.place.create("desired/000000000001.json", json.dumps(old).encode())
    anna = crew.hire("anna")
    crew.until_served(1)
    assert crew.coordinator.hold("model", "2.0.0", who="ann")
    assert in_memory(anna) == ["1.0.0", "2.0.0"]


def test_whoever_is_killed_while_a_load_waits_leaves_what_an_unload_takes_out(fleet: Fleet) -> None:
    fleet.begin("1.0.0", "2.0.0")
    anna, bert, carl = fleet.replicas
    carl.tell("slow", "2.0.0")
    asking = subprocess.Popen([sys.executable, "-c", HOLD, str(fleet.shop.root)], cwd=ROOT)

    def lacking() -> dict[str, str]:
        return {name: why for kept in fleet.coordinator.report().held for name, why in kept.lacking.items()}

    try:
        fleet.until(lambda: lacking() == {carl.name: ""}, "all but one have it")
        assert asking.poll() is None
    finally:
        asking.kill()
        asking.wait(60)
    assert [each.version for each in fleet.desired.held.holds] == ["2.0.0"]
    users = fleet.users
    users.spared.add(bert.name)
    bert.signal(signal.SIGKILL)
    carl.tell("slow")
    fleet.until(lambda: not fleet.coordinator.hold("encoder", "2.0.0", who="bob"), "the dead leave the wait")
    bert.start()
    fleet.until(lambda: (bert.home / "port").exists(), "it runs again")
    fleet.until_all_serve(1)
    users.spared.clear()
    fleet.until(lambda: not lacking() and len(fleet.coordinator.report().members) == 3, "who returns holds it")
    fleet.coordinator.let_go("encoder", "2.0.0", who="bob")
    assert fleet.desired.held.holds == ()
    assert anna.is_ready and fleet.promote("2.0.0") == 2
