"""A rollback calls the promotion off that is under way, in a budget of two models as in any."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from modelhost.errors import Conflict, NoRoom, NothingStable, Superseded, Unknown
from modelhost.serving.history import Outcome, Record
from modelhost.serving.serving import Serving
from tests.modelhost.serving.workshop import Workshop, answer, eventually

SIZE = 64  # bytes of a model of the workshop
TWO = 2 * SIZE


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def two_served(shop: Workshop, budget: int = TWO, **settings: Any) -> Serving:
    """1.0.0 and 1.1.0 served, with room for two models and 1.0.0 kept; 1.2.0 is there to be promoted."""
    shop.publish("model", "1.0.0", "1.1.0", "1.2.0")
    serving = shop.serve({"model": "1.0.0"}, budget=budget, keep_previous=True, **settings)
    serving.swap({"model": "1.1.0"}, who="ann", why="better")
    assert in_memory(serving) == {"model 1.0.0", "model 1.1.0"}
    return serving


def in_memory(serving: Serving) -> set[str]:
    return {f"{each.component} {each.version}" for each in serving.pool.residents()}


def promotion(shop: Workshop, serving: Serving, threads: ThreadPoolExecutor, version: str = "1.2.0") -> Future[Record]:
    """A promotion that stands in the middle of its load, and has room."""
    shop.loader.gate(f"model {version}")
    swap = threads.submit(serving.swap, {"model": version}, who="ann", why="newest")
    assert shop.loader.begun[f"model {version}"].wait(30)
    return swap


def test_with_room_for_two_it_waits_for_the_room_of_the_promotion_which_never_flips(
    shop: Workshop, threads: ThreadPoolExecutor
) -> None:
    serving = two_served(shop)
    swap = promotion(shop, serving, threads)
    assert in_memory(serving) == {"model 1.1.0"}, "the one that was kept has given its room"
    rollback = threads.submit(serving.rollback, "model", who="bob", reason="1.1.0 is bad")
    with pytest.raises(Superseded, match=r"1\.2\.0, by ann: called off by a rollback \(bob: 1\.1\.0 is bad\)"):
        swap.result(30)
    assert not rollback.done(), "its room is the promotion's until that has landed"
    shop.loader.gates["model 1.2.0"].set()
    assert rollback.result(30).after == {"model": "1.0.0"}
    assert answer(serving) == {"model": "model 1.0.0"}
    assert shop.loader.closes("model 1.2.0") == [1]
    eventually(lambda: serving.pool.budget.used() == SIZE)
    assert [each.outcome for each in serving.history.records() if each.why == "newest"] == [Outcome.REFUSED]


def test_where_the_room_does_not_come_in_time_it_says_so_and_the_promotion_is_off_all_the_same(
    shop: Workshop, threads: ThreadPoolExecutor
) -> None:
    serving = two_served(shop, rollback_patience=0.05)
    swap = promotion(shop, serving, threads)
    with pytest.raises(NoRoom, match=r"held by: .*called off by a rollback.* has not left"):
        serving.rollback("model", who="bob", reason="bad")
    with pytest.raises(Superseded):
        swap.result(30)
    shop.loader.gates["model 1.2.0"].set()
    eventually(lambda: not serving.pool.loading() and serving.pool.budget.used() == SIZE)
    assert answer(serving) == {"model": "model 1.1.0"}
    serving.rollback("model", who="bob", reason="bad")
    assert answer(serving) == {"model": "model 1.0.0"}


def test_to_what_is_in_memory_it_waits_for_nothing(shop: Workshop, threads: ThreadPoolExecutor) -> None:
    serving = two_served(shop, budget=3 * SIZE)
    serving.pool.pin("model", "1.0.0")
    swap = promotion(shop, serving, threads)
    serving.rollback("model", who="bob", reason="bad")
    assert answer(serving) == {"model": "model 1.0.0"}
    assert not shop.loader.gates["model 1.2.0"].is_set(), "the promotion has not landed yet"
    with pytest.raises(Superseded):
        swap.result(30)


def test_one_that_is_refused_calls_the_promotion_off_too(shop: Workshop, threads: ThreadPoolExecutor) -> None:
    """Who asks for it wants away from here, and does not find out later that the next one serves."""
    shop.publish("model", "1.0.0", "1.1.0")
    serving = shop.serve({"model": "1.0.0"})
    swap = promotion(shop, serving, threads, "1.1.0")
    with pytest.raises(NothingStable):
        serving.rollback("model", who="bob", reason="bad")
    with pytest.raises(Superseded):
        swap.result(30)
    shop.loader.gates["model 1.1.0"].set()
    eventually(lambda: shop.loader.closes("model 1.1.0") == [1])
    assert answer(serving) == {"model": "model 1.0.0"}


def test_one_that_makes_no_sense_disturbs_no_promotion(shop: Workshop, threads: ThreadPoolExecutor) -> None:
    serving = two_served(shop)
    swap = promotion(shop, serving, threads)
    with pytest.raises(Unknown):
        serving.rollback("decoder", who="bob", reason="bad")
    shop.loader.gates["model 1.2.0"].set()
    swap.result(30)
    assert answer(serving) == {"model": "model 1.2.0"}


def test_a_request_that_waits_for_the_same_load_gets_it_and_its_room_comes_back_with_it(
    shop: Workshop, threads: ThreadPoolExecutor
) -> None:
    serving = two_served(shop)
    swap = promotion(shop, serving, threads)
    asked = serving.pool.request("model", "1.2.0")
    rollback = threads.submit(serving.rollback, "model", who="bob", reason="bad")
    with pytest.raises(Superseded):
        swap.result(30)
    shop.loader.gates["model 1.2.0"].set()
    with asked.result(30) as loaded:
        assert loaded.model() == "model 1.2.0"
        assert not rollback.done()
    rollback.result(30)
    assert answer(serving) == {"model": "model 1.0.0"}
    assert shop.loader.closes("model 1.2.0") == [1]


def test_of_a_set_everything_that_loads_is_given_up(shop: Workshop, threads: ThreadPoolExecutor) -> None:
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        shop.publish("model", version, mates={"tokenizer": shop.publish("tokenizer", version)})
    serving = shop.serve({"model": "1.0.0", "tokenizer": "1.0.0"}, budget=2 * TWO, keep_previous=True)
    serving.swap({"model": "1.1.0", "tokenizer": "1.1.0"}, who="ann", why="better")
    shop.loader.gate("tokenizer 1.2.0")
    swap = threads.submit(serving.swap, {"model": "1.2.0", "tokenizer": "1.2.0"}, who="ann", why="newest")
    assert shop.loader.begun["tokenizer 1.2.0"].wait(30)
    eventually(lambda: "model 1.2.0" in in_memory(serving))
    rollback = threads.submit(serving.rollback, who="bob", reason="bad")
    with pytest.raises(Superseded):
        swap.result(30)
    shop.loader.gates["tokenizer 1.2.0"].set()
    rollback.result(30)
    assert answer(serving) == {"model": "model 1.0.0", "tokenizer": "tokenizer 1.0.0"}
    eventually(lambda: serving.pool.budget.used() == TWO)


def test_during_a_rollback_nothing_is_promoted_and_afterwards_it_can_be(
    shop: Workshop, threads: ThreadPoolExecutor
) -> None:
    serving = two_served(shop)
    swap = promotion(shop, serving, threads)
    rollback = threads.submit(serving.rollback, "model", who="bob", reason="bad")
    with pytest.raises(Superseded):
        swap.result(30)
    with pytest.raises(Conflict, match="a rollback is under way: bob: bad"):
        serving.swap({"model": "1.2.0"}, who="ann", why="but mine is newer")
    shop.loader.gates["model 1.2.0"].set()
    rollback.result(30)
    serving.swap({"model": "1.2.0"}, who="ann", why="another try")
    assert answer(serving) == {"model": "model 1.2.0"}
