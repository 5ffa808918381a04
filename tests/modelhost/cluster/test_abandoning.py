"""What a member loads and is desired no longer gives its room back once it has landed, and others wait for that."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from modelhost.cluster.coordinator import Coordinator
from modelhost.registry.directory import utc_now
from tests.modelhost.cluster.crew import TIMINGS, Crew, Hand


def full(crew: Crew) -> Hand:
    """A member that serves 1.0.0, and has room for one more."""
    crew.shop.publish("model", "1.0.0", "2.0.0", "3.0.0")
    size = crew.shop.registry.find("model", "1.0.0").info.bytes
    anna = crew.hire("anna", budget=2 * size)
    crew.promote(model="1.0.0")
    crew.until_served(1)
    return anna


def in_memory(hand: Hand) -> list[str]:
    return [each.version for each in hand.serving.pool.residents()]


def loads(hand: Hand, version: str) -> bool:
    return ("model", version) in hand.serving.pool.loading()


def test_a_rollback_waits_for_the_room_of_the_promotion_that_it_overtook(
    crew: Crew, caplog: pytest.LogCaptureFixture
) -> None:
    anna = full(crew)
    crew.promote(model="2.0.0")
    crew.until_served(2)
    gate = anna.loader.gate("model 3.0.0")
    with ThreadPoolExecutor(1) as threads:
        promoting = threads.submit(crew.promote, model="3.0.0")
        crew.until(lambda: anna.loader.begun["model 3.0.0"].is_set())
        assert in_memory(anna) == ["2.0.0"], "what was kept for a way back has made room"
        went = crew.coordinator.rollback(who="bob", reason="worse").committed
        crew.until(lambda: loads(anna, "1.0.0"))
        gate.set()
        assert "overtaken" in str(promoting.exception(60))
    crew.until_served(went.generation)
    assert anna.versions == {"model": "1.0.0"}
    crew.until(lambda: in_memory(anna) == ["1.0.0"])
    assert "cannot be loaded" not in caplog.text, "it had patience"
    assert "Traceback" not in caplog.text


def test_a_hold_that_still_loads_gives_way_to_a_switch_and_is_loaded_again(crew: Crew) -> None:
    anna = full(crew)
    gate = anna.loader.gate("model 2.0.0")
    with ThreadPoolExecutor(2) as threads:
        holding = threads.submit(crew.coordinator.hold, "model", "2.0.0", who="ann")
        crew.until(lambda: anna.loader.begun["model 2.0.0"].is_set())
        promoting = threads.submit(crew.promote, model="3.0.0")
        crew.until(lambda: loads(anna, "3.0.0"))
        gate.set()
        assert promoting.result(60) == 2 and holding.result(60)
    crew.until(lambda: in_memory(anna) == ["2.0.0", "3.0.0"])
    assert anna.versions == {"model": "3.0.0"}


def test_what_is_unloaded_while_it_loads_leaves_its_room_to_the_next(crew: Crew) -> None:
    anna = full(crew)
    gate = anna.loader.gate("model 2.0.0")
    with ThreadPoolExecutor(2) as threads:
        holding = threads.submit(crew.coordinator.hold, "model", "2.0.0", who="ann")
        crew.until(lambda: anna.loader.begun["model 2.0.0"].is_set())
        crew.coordinator.let_go("model", "2.0.0", who="bob")
        promoting = threads.submit(crew.promote, model="3.0.0")
        crew.until(lambda: loads(anna, "3.0.0"))
        gate.set()
        assert promoting.result(60) == 2
        assert "let go of" in str(holding.exception(60))
    assert "2.0.0" not in in_memory(anna) and anna.loader.closes("model 2.0.0") in ([], [1])


def test_a_load_that_ends_one_which_broke_off_has_brought_it_there(crew: Crew) -> None:
    anna = full(crew)
    gate = anna.loader.gate("model 2.0.0")
    crew.log.write(crew.log.read().hold("model", "2.0.0", "ann", utc_now()))  # whoever asked is dead
    crew.until(lambda: anna.loader.begun["model 2.0.0"].is_set())

    def wait(seconds: float) -> None:
        gate.set()
        time.sleep(seconds)

    coordinator = Coordinator(crew.place, crew.shop.registry, TIMINGS, sleep=wait)
    assert coordinator.hold("model", "2.0.0", who="bob"), "it was not there before"
    assert in_memory(anna) == ["1.0.0", "2.0.0"]
    assert not coordinator.hold("model", "2.0.0", who="bob"), "now it was"
