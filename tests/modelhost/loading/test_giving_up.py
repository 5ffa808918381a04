"""Loads that somebody gave up, and versions that are kept until another set is loaded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from modelhost.errors import NoRoom
from modelhost.host.watch import Watchers, watched
from modelhost.loading.base import Loaded
from modelhost.loading.memory import Budget
from modelhost.loading.pool import Pool
from modelhost.loading.wanted import demand_wanted
from tests.modelhost.loading.shelf import CountingLoader, Shelf

SIZE = 80
Make = Callable[..., Pool]


@pytest.fixture
def make(shelf: Shelf, loader: CountingLoader) -> Iterator[Make]:
    pools: list[Pool] = []
    for version in ("1.0.0", "2.0.0", "3.0.0"):
        shelf.add("model", version, size=SIZE)

    def build(budget: int = SIZE, **settings: Any) -> Pool:
        settings = {"patience": 30.0, "aside": lambda work: work(), **settings}
        pools.append(Pool(shelf, {"counting": loader}, Budget(budget), **settings))
        return pools[-1]

    yield build
    for gate in loader.gates.values():
        gate.set()
    for pool in pools:
        pool.close()


def eventually(state: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not state():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.005)


def test_a_load_that_was_given_up_leaves_again_and_the_next_waits_for_its_room(
    loader: CountingLoader, make: Make
) -> None:
    pool = make()
    gate = loader.gate("model 1.0.0")
    given_up = pool.request("model", "1.0.0")
    assert loader.begun["model 1.0.0"].wait(30)
    assert pool.abandon(given_up)
    asked = pool.request("model", "2.0.0")
    gate.set()
    with asked.result(30) as loaded:
        assert loaded.version == "2.0.0"
        assert [each.version for each in pool.residents()] == ["2.0.0"]
    assert loader.warmed == ["model 2.0.0"], "what nobody wants is not warmed up"


def test_a_loader_that_asks_whether_it_is_wanted_ends_there(shelf: Shelf, make: Make) -> None:
    begun, go = threading.Event(), threading.Event()

    class Asking(CountingLoader):
        def warm_up(self, loaded: Loaded) -> None:
            begun.set()
            assert go.wait(30)
            demand_wanted()
            super().warm_up(loaded)

    heard: list[object] = []
    watchers = Watchers()
    watchers.add(heard.append)
    asking = Asking()
    loaders, _ = watched({"counting": asking}, (), watchers)
    pool = Pool(shelf, loaders, Budget(SIZE), patience=30.0, aside=lambda work: work())
    try:
        given_up = pool.request("model", "1.0.0")
        assert begun.wait(30)
        demand_wanted()  # out of a load, nobody gives up
        assert pool.abandon(given_up)
        asked = pool.request("model", "1.0.0")
        other = pool.request("model", "2.0.0")
        assert asked.cancel()
        go.set()
        other.result(30).release()
        assert asking.warmed == ["model 2.0.0"] and asking.closes("model 1.0.0") == [1]
        assert heard == [], "no failure of the version"
    finally:
        go.set()
        pool.close()


def test_one_that_others_stopped_waiting_for_gives_its_room_too(loader: CountingLoader, make: Make) -> None:
    pool = make()
    gate = loader.gate("model 1.0.0")
    assert pool.request("model", "1.0.0").cancel()
    assert loader.begun["model 1.0.0"].wait(30)
    asked = pool.request("model", "2.0.0")
    gate.set()
    asked.result(30).release()
    assert loader.closes("model 1.0.0") == [1]


def test_one_that_somebody_waits_for_is_not_waited_for(loader: CountingLoader, make: Make) -> None:
    pool = make()
    loader.gate("model 1.0.0")
    pool.request("model", "1.0.0")
    assert loader.begun["model 1.0.0"].wait(30)
    with pytest.raises(NoRoom, match=r"held by: model 1\.0\.0"):
        pool.lease("model", "2.0.0")


def test_who_asks_for_it_again_before_it_landed_gets_it(loader: CountingLoader, make: Make) -> None:
    pool = make()
    gate = loader.gate("model 1.0.0")
    given_up = pool.request("model", "1.0.0")
    assert loader.begun["model 1.0.0"].wait(30)
    assert pool.abandon(given_up)
    again = pool.request("model", "1.0.0")
    gate.set()
    with again.result(30) as loaded:
        loaded.model.use()
    assert loader.loads["model 1.0.0"] == 1


def test_one_that_was_given_up_before_it_had_room_is_not_loaded_and_can_be_asked_for_anew(
    loader: CountingLoader, make: Make
) -> None:
    looking, go_on = threading.Event(), threading.Event()

    def slow(entry: object) -> None:
        looking.set()
        assert go_on.wait(30)

    pool = make(checks=[slow])
    given_up = pool.request("model", "1.0.0")
    assert looking.wait(30)
    assert pool.abandon(given_up)
    go_on.set()
    eventually(lambda: not pool.loading())
    assert not loader.loads["model 1.0.0"]
    pool.lease("model", "1.0.0").release()
    assert loader.closes("model 1.0.0") == [0]


def test_a_lease_that_has_come_is_the_callers_to_release(make: Make) -> None:
    pool = make()
    asked = pool.request("model", "1.0.0")
    lease = asked.result(30)
    assert not pool.abandon(asked)
    assert [each.leases for each in pool.residents()] == [1]
    lease.release()


def test_a_pool_that_closes_waits_for_what_was_given_up(loader: CountingLoader, make: Make) -> None:
    pool = make()
    gate = loader.gate("model 1.0.0")
    given_up = pool.request("model", "1.0.0")
    assert loader.begun["model 1.0.0"].wait(30)
    assert pool.abandon(given_up)
    threading.Timer(0.05, gate.set).start()
    assert pool.close(30.0) == []
    assert (pool.budget.used(), loader.closes("model 1.0.0")) == (0, [1])


@pytest.mark.parametrize("holder", ["the next set", ""])
def test_a_spare_one_leaves_before_a_set_is_loaded_and_stays_for_a_single_request(holder: str, make: Make) -> None:
    pool = make(budget=10 * SIZE)
    pool.lease("model", "1.0.0").release()
    pool.spare([("model", "1.0.0")])
    pool.lease("model", "2.0.0", holder=holder).release()
    there = [each.version for each in pool.residents()]
    assert there == (["2.0.0"] if holder else ["1.0.0", "2.0.0"])


def test_a_spare_one_in_use_leaves_with_its_last_lease_while_a_set_is_loaded(
    loader: CountingLoader, make: Make
) -> None:
    pool = make(budget=10 * SIZE)
    old = pool.lease("model", "1.0.0", holder="the set before")
    pool.spare([("model", "1.0.0")])
    gate = loader.gate("model 2.0.0")
    new = pool.request("model", "2.0.0", holder="the next set")
    assert loader.begun["model 2.0.0"].wait(30)
    assert loader.closes("model 1.0.0") == [0]
    old.release()
    assert loader.closes("model 1.0.0") == [1]
    gate.set()
    new.result(30).release()


def test_a_spare_one_stays_where_the_next_would_not_fit_anyway(shelf: Shelf, make: Make) -> None:
    pool = make()
    pool.lease("model", "1.0.0").release()
    pool.spare([("model", "1.0.0")])
    shelf.add("model", "4.0.0", size=10 * SIZE)
    with pytest.raises(NoRoom, match="whole budget"):
        pool.lease("model", "4.0.0", holder="the next set")
    assert [each.version for each in pool.residents()] == ["1.0.0"]


def test_who_waits_for_one_that_leaves_takes_its_room_also_where_it_stays_after_all(
    loader: CountingLoader, make: Make
) -> None:
    """Somebody leases it again before it has left, and then nobody uses it."""
    pool = make(patience=600.0)
    first = pool.lease("model", "1.0.0")
    assert not pool.discard("model", "1.0.0")
    asked = pool.request("model", "2.0.0")
    eventually(lambda: len(pool._books.changed._waiters) == 1)  # type: ignore[attr-defined]
    second = pool.lease("model", "1.0.0")
    first.release()
    second.release()
    asked.result(60).release()
    assert loader.closes("model 1.0.0") == [1]


def test_who_waits_for_one_that_leaves_takes_the_room_of_one_whose_pin_is_gone(
    shelf: Shelf, loader: CountingLoader, make: Make
) -> None:
    pool = make(budget=2 * SIZE, patience=600.0)
    leaves = pool.lease("model", "1.0.0")
    pool.pin("model", "3.0.0")
    pool.lease("model", "3.0.0").release()
    assert not pool.discard("model", "1.0.0")
    asked = pool.request("model", "2.0.0")
    eventually(lambda: len(pool._books.changed._waiters) == 1)  # type: ignore[attr-defined]
    pool.unpin("model", "3.0.0")
    asked.result(60).release()
    assert loader.closes("model 3.0.0") == [1]
    leaves.release()
