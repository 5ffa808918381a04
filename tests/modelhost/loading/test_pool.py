"""The pool: loaded once, counted, evicted when idle, never while in use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from modelhost.errors import (
    ConfigError,
    Conflict,
    IntegrityError,
    InvalidRequest,
    LoadFailed,
    Loading,
    ModelHostError,
    NoRoom,
    Refused,
    Unavailable,
    Unknown,
)
from modelhost.loading.base import Loaded, Placement
from modelhost.loading.memory import Budget
from modelhost.loading.pool import Pool
from modelhost.registry.base import Entry, Status
from tests.modelhost.loading.shelf import CountingLoader, Shelf

Make = Callable[..., Pool]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(shelf: Shelf, loader: CountingLoader, clock: Clock) -> Iterator[Make]:
    pools: list[Pool] = []

    def build(budget: int = 100, **settings: Any) -> Pool:
        settings = {"patience": 0.0, "clock": clock, "aside": lambda work: work(), **settings}
        pools.append(Pool(shelf, {"counting": loader}, Budget(budget), **settings))
        return pools[-1]

    yield build
    for gate in loader.gates.values():
        gate.set()
    for pool in pools:
        pool.close()


def test_a_version_is_loaded_at_its_first_use_and_warmed_up_before_anyone_has_it(
    shelf: Shelf, loader: CountingLoader, make: Make
) -> None:
    shelf.add("model", "1.0.0")
    pool = make()
    assert not loader.loads
    with pool.lease("model", "1.0.0") as loaded:
        assert loaded.model.use() == "model 1.0.0"
        assert loader.warmed == ["model 1.0.0"]
    with pool.lease("model", "v1.0.0"):
        assert loader.loads == {"model 1.0.0": 1}


def test_sixteen_who_ask_at_once_share_one_load(shelf: Shelf, loader: CountingLoader, make: Make) -> None:
    shelf.add("model", "1.0.0")
    pool, gate = make(), loader.gate("model 1.0.0")
    with ThreadPoolExecutor(16) as threads:
        asked = [threads.submit(pool.lease, "model", "1.0.0") for _ in range(16)]
        assert loader.begun["model 1.0.0"].wait(30)
        gate.set()
        leases = [each.result(30) for each in asked]
    assert loader.loads == {"model 1.0.0": 1}
    assert pool.residents()[0].leases == 16
    for lease in leases:
        lease.release()
    assert pool.residents()[0].leases == 0


def test_who_does_not_want_to_wait_is_told_when_to_come_back_and_the_load_goes_on(
    shelf: Shelf, loader: CountingLoader, make: Make
) -> None:
    shelf.add("model", "1.0.0")
    pool, gate = make(), loader.gate("model 1.0.0")
    with pytest.raises(Loading) as told:
        pool.lease("model", "1.0.0", wait=0.01)
    assert told.value.retry_after >= 1
    assert pool.loading() == [("model", "1.0.0")]
    gate.set()
    with pool.lease("model", "1.0.0"):
        assert pool.residents()[0].leases == 1, "the one who gave up holds nothing"
    assert loader.loads == {"model 1.0.0": 1}


def test_two_versions_load_at_the_same_time(shelf: Shelf, loader: CountingLoader, make: Make) -> None:
    pool = make()
    for version in ("1.0.0", "2.0.0"):
        shelf.add("model", version)
        loader.gate(f"model {version}")
    asked = [pool.request("model", version) for version in ("1.0.0", "2.0.0")]
    assert all(begun.wait(30) for begun in loader.begun.values())
    for gate in loader.gates.values():
        gate.set()
    leases = [future.result(30) for future in asked]
    assert [lease.model.name for lease in leases] == ["model 1.0.0", "model 2.0.0"]
    for lease in leases:
        lease.release()


def test_the_longest_unused_leaves_when_room_is_needed(shelf: Shelf, loader: CountingLoader, make: Make) -> None:
    pool = make(budget=100)
    for version in ("1.0.0", "2.0.0", "3.0.0"):
        shelf.add("model", version, size=50)
    pool.lease("model", "1.0.0").release()
    clock: Any = pool._clock
    clock.now += 1
    pool.lease("model", "2.0.0").release()
    clock.now += 1
    pool.lease("model", "1.0.0").release()
    clock.now += 1
    pool.lease("model", "3.0.0").release()
    assert [each.version for each in pool.residents()] == ["1.0.0", "3.0.0"]
    assert loader.closes("model 2.0.0") == [1]
    assert pool.budget.used() == 100


def test_what_is_in_use_or_pinned_never_leaves_and_the_refusal_says_who_holds_what(
    shelf: Shelf, loader: CountingLoader, make: Make
) -> None:
    for version in ("1.0.0", "2.0.0", "3.0.0"):
        shelf.add("model", version, size=50_000_000)
    pool = make(budget=100_000_000)
    pool.pin("model", "2.0.0")
    pool.lease("model", "2.0.0").release()
    with pool.lease("model", "1.0.0") as loaded:
        with pytest.raises(
            NoRoom, match=r"model 3\.0\.0 needs 50\.0 MB.*model 2\.0\.0 50\.0 MB, model 1\.0\.0 50\.0 MB"
        ):
            pool.lease("model", "3.0.0")
        loaded.model.use()
    assert [each.version for each in pool.residents()] == ["1.0.0", "2.0.0"]
    pool.lease("model", "3.0.0").release()
    assert [each.version for each in pool.residents()] == ["2.0.0", "3.0.0"]


def test_nothing_is_evicted_for_a_version_that_would_not_fit_anyway(
    shelf: Shelf, loader: CountingLoader, make: Make
) -> None:
    pool = make(budget=100)
    shelf.add("model", "1.0.0", size=40)
    shelf.add("model", "2.0.0", size=40)
    shelf.add("model", "3.0.0", size=90)
    pool.lease("model", "1.0.0").release()
    with pool.lease("model", "2.0.0"), pytest.raises(NoRoom):
        pool.lease("model", "3.0.0")
    assert [each.version for each in pool.residents()] == ["1.0.0", "2.0.0"]


def test_a_load_waits_for_memory_that_is_about_to_come_back(shelf: Shelf, loader: CountingLoader, make: Make) -> None:
    pool = make(budget=100, patience=30.0)
    shelf.add("model", "1.0.0", size=80)
    shelf.add("model", "2.0.0", size=80)
    old = pool.lease("model", "1.0.0")
    assert not pool.discard("model", "1.0.0")
    asked = pool.request("model", "2.0.0")
    old.release()
    with asked.result(30) as loaded:
        loaded.model.use()
    assert loader.closes("model 1.0.0") == [1]


def test_a_version_larger_than_its_estimate_is_counted_as_it_is_or_refused(
    shelf: Shelf, loader: CountingLoader, make: Make
) -> None:
    pool = make(budget=100)
    shelf.add("model", "1.0.0", size=10)
    shelf.add("model", "2.0.0", size=10)
    loader.sizes = {"model 1.0.0": 60, "model 2.0.0": 60}
    with pool.lease("model", "1.0.0"):
        assert pool.budget.used() == 60
        with pytest.raises(NoRoom, match="estimated"):
            pool.lease("model", "2.0.0")
        assert loader.closes("model 2.0.0") == [1]
        assert pool.budget.used() == 60


def test_what_nobody_uses_leaves_after_its_time(shelf: Shelf, loader: CountingLoader, make: Make, clock: Clock) -> None:
    pool = make(idle_seconds=60.0)
    for version in ("1.0.0", "2.0.0", "3.0.0"):
        shelf.add("model", version)
    held = pool.lease("model", "1.0.0")
    pool.lease("model", "2.0.0").release()
    pool.pin("model", "3.0.0")
    pool.lease("model", "3.0.0").release()
    clock.now += 59
    assert pool.sweep() == []
    clock.now += 1
    assert pool.sweep() == [("model", "2.0.0")]
    held.release()
    assert pool.sweep() == [], "its time begins when the last lease came back"
    clock.now += 60
    assert pool.sweep() == [("model", "1.0.0")]


@pytest.mark.parametrize("where", ["load", "warm_up"])
def test_a_failed_load_leaves_nothing_behind_and_may_be_tried_again(
    where: str, shelf: Shelf, loader: CountingLoader, make: Make
) -> None:
    pool = make()
    shelf.add("model", "1.0.0", size=10)
    failing = loader.failing if where == "load" else loader.failing_warm_up
    failing["model 1.0.0"] = ValueError("bad tensor")
    with pytest.raises(LoadFailed, match=r"model 1\.0\.0 could not be loaded: ValueError: bad tensor"):
        pool.lease("model", "1.0.0")
    assert pool.residents() == [] and pool.budget.used() == 0
    assert loader.closes("model 1.0.0") == ([] if where == "load" else [1])
    failing.clear()
    with pool.lease("model", "1.0.0") as loaded:
        loaded.model.use()


def test_all_who_waited_for_a_failed_load_hear_of_it(shelf: Shelf, loader: CountingLoader, make: Make) -> None:
    pool, gate = make(), loader.gate("model 1.0.0")
    shelf.add("model", "1.0.0")
    loader.failing["model 1.0.0"] = IntegrityError("cut", "publish it again")
    asked = [pool.request("model", "1.0.0") for _ in range(3)]
    gate.set()
    errors = [future.exception(30) for future in asked]
    assert [str(error) for error in errors] == ["cut: publish it again"] * 3
    assert len({id(error) for error in errors}) == 3


def test_a_check_before_the_load_refuses_it(shelf: Shelf, loader: CountingLoader, make: Make) -> None:
    def check(entry: Entry) -> None:
        raise IntegrityError(f"{entry.version} is cut")

    shelf.add("model", "1.0.0")
    with pytest.raises(IntegrityError, match=r"1\.0\.0 is cut"):
        make(checks=[check]).lease("model", "1.0.0")
    assert not loader.loads


def test_rejected_unknown_and_unloadable_versions_are_each_refused_in_words(
    shelf: Shelf, loader: CountingLoader, make: Make
) -> None:
    pool = make()
    shelf.add("model", "1.0.0")
    shelf.mark("model", "1.0.0", Status.REJECTED, "ann", "bad")
    shelf.add("model", "2.0.0", loader="onnx")
    for version, error, words in (
        ("1.0.0", Refused, "is rejected"),
        ("2.0.0", ConfigError, "wants the loader 'onnx'"),
        ("3.0.0", Unknown, "no model"),
        ("latest", InvalidRequest, "latest"),
        ("one", InvalidRequest, "'one' is no version"),
    ):
        with pytest.raises(error, match=words):
            pool.lease("model", version)
    assert pool.budget.used() == 0


def test_a_version_is_unloaded_when_its_last_lease_has_gone(shelf: Shelf, loader: CountingLoader, make: Make) -> None:
    pool = make()
    shelf.add("model", "1.0.0")
    lease = pool.lease("model", "1.0.0")
    assert pool.unload("model", "1.0.0") is False
    lease.model.use()
    lease.release()
    lease.release()
    assert loader.closes("model 1.0.0") == [1]
    with pytest.raises(Unknown, match="not in memory"):
        pool.unload("model", "1.0.0")
    with pytest.raises(ModelHostError, match="after its release"):
        _ = lease.model


def test_one_that_is_leased_again_before_it_left_stays(shelf: Shelf, loader: CountingLoader, make: Make) -> None:
    pool = make()
    shelf.add("model", "1.0.0")
    lease = pool.lease("model", "1.0.0")
    pool.discard("model", "1.0.0")
    pool.lease("model", "1.0.0").release()
    lease.release()
    assert loader.closes("model 1.0.0") == [0]


def test_what_a_set_holds_or_a_pin_keeps_is_not_unloaded(shelf: Shelf, loader: CountingLoader, make: Make) -> None:
    pool = make()
    shelf.add("model", "1.0.0")
    with pool.lease("model", "1.0.0", holder="the live set"):
        with pytest.raises(Conflict, match="held by the live set"):
            pool.unload("model", "1.0.0")
    pool.pin("model", "1.0.0")
    with pytest.raises(Conflict, match="pinned"):
        pool.unload("model", "1.0.0")
    pool.unpin("model", "1.0.0")
    assert pool.unload("model", "1.0.0") is True


def test_a_close_that_raises_gives_the_memory_back_all_the_same(
    shelf: Shelf, loader: CountingLoader, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    pool = make()
    shelf.add("model", "1.0.0")
    load = loader.load

    def breaking(entry: Entry, placement: Any) -> Any:
        def close() -> None:
            raise OSError("device is gone")

        loaded = load(entry, placement)
        return type(loaded)(entry, loaded.model, loaded.bytes, placement, close)

    loader.load = breaking  # type: ignore[method-assign]
    pool.lease("model", "1.0.0").release()
    assert pool.unload("model", "1.0.0")
    assert pool.budget.used() == 0
    assert "did not close cleanly" in caplog.text


def test_memory_counts_as_free_only_when_the_model_itself_is_gone(shelf: Shelf) -> None:
    class Mortal:
        def __del__(self) -> None:
            held.append(pool.budget.used())

    class Loads(CountingLoader):
        def load(self, entry: Entry, placement: Placement) -> Loaded:
            return Loaded(entry, Mortal(), entry.info.bytes, placement)

    held: list[int] = []
    shelf.add("model", "1.0.0", 40)
    pool = Pool(shelf, {"counting": Loads()}, Budget(100), aside=lambda work: work())
    pool.lease("model", "1.0.0").release(leave=True)
    assert pool.close() == []
    assert held == [40], "the model was freed while its bytes were still on the books"
    assert pool.budget.used() == 0


def test_at_the_end_all_is_freed_and_nobody_gets_a_lease(shelf: Shelf, loader: CountingLoader, make: Make) -> None:
    pool = make()
    shelf.add("model", "1.0.0")
    shelf.add("model", "2.0.0")
    held = pool.lease("model", "1.0.0")
    pool.lease("model", "2.0.0").release()
    assert pool.close(timeout=0) == [("model", "1.0.0")]
    assert loader.closes("model 2.0.0") == [1]
    for version in ("1.0.0", "2.0.0"):
        with pytest.raises(Unavailable, match="shutting down"):
            pool.lease("model", version)
    held.release()
    assert loader.closes("model 1.0.0") == [1]
    assert pool.close(timeout=0) == []


def test_a_load_that_ends_after_the_pool_was_closed_is_freed(shelf: Shelf, loader: CountingLoader, make: Make) -> None:
    pool, gate = make(), loader.gate("model 1.0.0")
    shelf.add("model", "1.0.0")
    asked = pool.request("model", "1.0.0")
    assert loader.begun["model 1.0.0"].wait(30)
    assert pool.close(timeout=0) == [("model", "1.0.0")]
    gate.set()
    with pytest.raises(Unavailable):
        asked.result(30)
    assert pool.close() == []
    assert loader.closes("model 1.0.0") == [1]


def test_an_event_loop_leases_without_being_blocked(shelf: Shelf, loader: CountingLoader, make: Make) -> None:
    pool, gate = make(), loader.gate("model 1.0.0")
    shelf.add("model", "1.0.0")

    async def story() -> None:
        with pytest.raises(Loading):
            await pool.lease_async("model", "1.0.0", wait=0.01)
        given_up = asyncio.create_task(pool.lease_async("model", "1.0.0"))
        asked = asyncio.create_task(pool.lease_async("model", "1.0.0"))
        await asyncio.sleep(0)
        given_up.cancel()
        gate.set()
        with await asked as loaded:
            assert loaded.model.use() == "model 1.0.0"
        with pytest.raises(asyncio.CancelledError):
            await given_up
        with await pool.lease_async("model", "1.0.0"):
            assert pool.residents()[0].leases == 1

    asyncio.run(story())
    assert pool.residents()[0].leases == 0
    assert loader.loads == {"model 1.0.0": 1}


def test_under_sixteen_threads_nothing_is_used_after_its_close_and_each_is_closed_once(
    shelf: Shelf, loader: CountingLoader, make: Make
) -> None:
    """Room for three of six versions: loads, evictions and leases of all kinds, at once."""
    pool = make(budget=3, patience=30.0)
    versions = [f"{number}.0.0" for number in range(1, 7)]
    for version in versions:
        shelf.add("model", version, size=1)

    def request(seed: int) -> int:
        done = 0
        for step in range(150):
            version = versions[(seed * 7 + step * step) % len(versions)]
            try:
                with pool.lease("model", version, wait=None if step % 3 else 0.001) as loaded:
                    assert loaded.model.use() == f"model {version}"
                    if step % 5 == 0:
                        pool.discard("model", version)
                    done += 1
            except (Loading, NoRoom):
                continue
        return done

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(request, range(16)))
    assert pool.budget.used() <= 3
    assert pool.close() == []
    assert pool.budget.used() == 0
    assert {model.closed for model in loader.models} == {1}
