"""Swaps: beside the old one, as one set, or not at all."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from modelhost.errors import (
    Conflict,
    EnvironmentMismatch,
    IntegrityError,
    InvalidRequest,
    LoadFailed,
    Loading,
    MateMismatch,
    ModelHostError,
    NoRoom,
    Refused,
    Unavailable,
    Unknown,
)
from modelhost.registry.base import Status
from modelhost.serving.history import Outcome
from tests.modelhost.loading.published import damage
from tests.modelhost.serving.workshop import Workshop, answer, during, eventually


def test_after_a_swap_the_other_version_serves_and_the_old_one_is_closed(shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "2.0.0")
    serving = shop.serve({"model": "1.0.0"})
    first = serving.current()
    record = serving.swap({"model": "v2.0.0"}, who="ann", why="better")
    assert answer(serving) == {"model": "model 2.0.0"}
    assert (record.before, record.after) == ({"model": "1.0.0"}, {"model": "2.0.0"})
    assert record.generation == serving.current().generation == first.generation + 1
    assert serving.current().digest != first.digest
    assert {"resolve", "load", "warm_up", "flip", "total"} == set(record.seconds)
    assert shop.loader.closes("model 1.0.0") == [1]


def test_a_request_keeps_the_set_with_which_it_began_and_the_old_one_leaves_with_it(shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "2.0.0")
    serving = shop.serve({"model": "1.0.0"})
    lease = serving.lease()
    serving.swap({"model": "2.0.0"}, who="ann", why="better")
    assert lease.set["model"].model() == "model 1.0.0"
    assert answer(serving) == {"model": "model 2.0.0"}
    assert [each.generation for each in serving.live.leaving()] == [1]
    lease.release()
    lease.release()
    assert shop.loader.closes("model 1.0.0") == [1]
    assert serving.live.leaving() == []
    with pytest.raises(ModelHostError, match="after its release"):
        _ = lease.set


def test_the_previous_versions_can_be_kept_for_a_quick_way_back(shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "2.0.0", "3.0.0")
    serving = shop.serve({"model": "1.0.0"}, keep_previous=True)
    serving.swap({"model": "2.0.0"}, who="ann", why="better")
    assert shop.loader.closes("model 1.0.0") == [0]
    serving.swap({"model": "3.0.0"}, who="ann", why="better")
    assert (shop.loader.closes("model 1.0.0"), shop.loader.closes("model 2.0.0")) == ([1], [0])
    serving.rollback("model", who="ann", reason="bad")
    assert shop.loader.loads["model 2.0.0"] == 1
    assert shop.loader.closes("model 3.0.0") == [1], "what was rejected is not kept"


def test_components_that_do_not_change_stay_in_memory(shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "2.0.0")
    shop.publish("tokenizer", "1.0.0")
    serving = shop.serve({"model": "1.0.0", "tokenizer": "1.0.0"})
    serving.swap({"model": "2.0.0"}, who="ann", why="better")
    assert answer(serving) == {"model": "model 2.0.0", "tokenizer": "tokenizer 1.0.0"}
    assert shop.loader.loads["tokenizer 1.0.0"] == 1
    assert shop.loader.closes("tokenizer 1.0.0") == [0]


def test_latest_is_the_newest_stable_version(shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "1.1.0")
    shop.publish("model", "2.0.0", stable=False)
    assert answer(shop.serve({"model": "latest"})) == {"model": "model 1.1.0"}


def test_a_swap_to_what_serves_changes_nothing(shop: Workshop) -> None:
    shop.publish("model", "1.0.0")
    serving = shop.serve({"model": "1.0.0"})
    generation = serving.current().generation
    assert serving.swap({"model": "1.0.0"}, who="ann", why="again").outcome is Outcome.UNCHANGED
    assert serving.current().generation == generation


def test_a_set_that_does_not_fit_together_is_refused_before_anything_is_loaded(shop: Workshop) -> None:
    old = shop.publish("tokenizer", "1.0.0")
    new = shop.publish("tokenizer", "2.0.0")
    shop.publish("model", "1.0.0", mates={"tokenizer": old})
    shop.publish("model", "2.0.0", mates={"tokenizer": new})
    serving = shop.serve({"model": "1.0.0", "tokenizer": "1.0.0"})
    with pytest.raises(MateMismatch, match=r"model 2\.0\.0 wants tokenizer 2\.0\.0.*the set has tokenizer 1\.0\.0"):
        serving.swap({"model": "2.0.0"}, who="ann", why="better")
    assert not shop.loader.loads["model 2.0.0"]
    serving.swap({"model": "2.0.0", "tokenizer": "2.0.0"}, who="ann", why="both")
    assert answer(serving) == {"model": "model 2.0.0", "tokenizer": "tokenizer 2.0.0"}


@pytest.mark.parametrize("how", ["cut", "changed", "missing", "environment", "warm-up", "rejected", "unknown", "room"])
def test_whatever_is_wrong_with_a_version_serving_goes_on(how: str, shop: Workshop) -> None:
    shop.publish("model", "1.0.0")
    shop.publish("tokenizer", "1.0.0", "2.0.0")
    environment = {"python": "2.7" if how == "environment" else "3.11", "packages": {}}
    shop.publish("model", "2.0.0", environment=environment)
    serving = shop.serve(
        {"model": "1.0.0", "tokenizer": "1.0.0"}, budget=64 * (3 if how == "room" else 10), patience=0.0
    )
    expected: dict[str, tuple[type[ModelHostError], str]] = {
        "environment": (EnvironmentMismatch, "python 2.7"),
        "warm-up": (LoadFailed, "ValueError: bad answer"),
        "rejected": (Refused, "rejected"),
        "unknown": (Unknown, "9.9.9"),
        "room": (NoRoom, "held by"),
    }
    error, words = expected.get(how, (IntegrityError, "weights.safetensors"))
    if how in ("cut", "changed", "missing"):
        damage(shop.registry.find("model", "2.0.0"), how)
    if how == "warm-up":
        shop.loader.failing["model 2.0.0"] = ValueError("bad answer")
    if how == "rejected":
        shop.mark("model", "2.0.0", Status.REJECTED)
    version = "9.9.9" if how == "unknown" else "2.0.0"
    used = serving.pool.budget.used()

    def swap() -> None:
        with pytest.raises(error, match=words):
            serving.swap({"model": version, "tokenizer": "2.0.0"}, who="ann", why="better")

    def request() -> None:
        assert answer(serving) == {"model": "model 1.0.0", "tokenizer": "tokenizer 1.0.0"}

    assert during(swap, request, threads=4) > 0
    eventually(lambda: serving.pool.budget.used() == used and not serving.pool.loading())
    last = serving.history.records()[-1]
    assert last.outcome in (Outcome.REFUSED, Outcome.FAILED) and last.error
    assert serving.current().generation == 1


def test_a_swap_must_say_who_and_why_and_what(shop: Workshop) -> None:
    shop.publish("model", "1.0.0")
    serving = shop.serve()
    for who, why, words in ((" ", "x", "say who"), ("ann", "", "say why"), ("", "", "who and why")):
        with pytest.raises(InvalidRequest, match=words):
            serving.swap({"model": "1.0.0"}, who=who, why=why)
    with pytest.raises(InvalidRequest, match="at least one"):
        serving.swap({}, who="ann", why="x")


def test_a_second_swap_is_refused_while_one_is_under_way(shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "2.0.0", "3.0.0")
    serving = shop.serve({"model": "1.0.0"})
    gate = shop.loader.gate("model 2.0.0")
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(serving.swap, {"model": "2.0.0"}, who="ann", why="better")
        assert shop.loader.begun["model 2.0.0"].wait(30)
        with pytest.raises(Conflict, match=r"model 2\.0\.0, by ann"):
            serving.swap({"model": "3.0.0"}, who="bob", why="better still")
        assert answer(serving) == {"model": "model 1.0.0"}
        gate.set()
        first.result(30)
    assert answer(serving) == {"model": "model 2.0.0"}


def test_a_rollback_overtakes_a_swap_that_still_loads(shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "2.0.0", "3.0.0")
    serving = shop.serve({"model": "1.0.0"})
    serving.swap({"model": "2.0.0"}, who="ann", why="better")
    gate = shop.loader.gate("model 3.0.0")
    with ThreadPoolExecutor(1) as threads:
        swap = threads.submit(serving.swap, {"model": "3.0.0"}, who="ann", why="better still")
        assert shop.loader.begun["model 3.0.0"].wait(30)
        serving.rollback("model", who="bob", reason="2.0.0 is bad")
        assert answer(serving) == {"model": "model 1.0.0"}
        gate.set()
        with pytest.raises(Conflict, match="called off by a rollback"):
            swap.result(30)
    assert answer(serving) == {"model": "model 1.0.0"}
    eventually(lambda: shop.loader.closes("model 3.0.0") == [1])


def test_a_swap_that_takes_too_long_is_given_up_and_may_be_asked_for_again(shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "2.0.0")
    serving = shop.serve({"model": "1.0.0"})
    gate = shop.loader.gate("model 2.0.0")
    with pytest.raises(Loading):
        serving.swap({"model": "2.0.0"}, who="ann", why="better", timeout=0.01)
    assert answer(serving) == {"model": "model 1.0.0"}
    gate.set()
    serving.swap({"model": "2.0.0"}, who="ann", why="better")
    assert answer(serving) == {"model": "model 2.0.0"}
    assert shop.loader.loads["model 2.0.0"] == 1


def test_a_service_may_number_its_generations_itself(shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "2.0.0")
    serving = shop.serve({"model": "1.0.0"})
    serving.swap({"model": "2.0.0"}, who="ann", why="agreed", generation=17)
    assert serving.current().generation == 17
    with pytest.raises(InvalidRequest, match="17"):
        serving.swap({"model": "1.0.0"}, who="ann", why="agreed", generation=17)


def test_before_the_first_set_and_after_the_last_nothing_serves(shop: Workshop) -> None:
    shop.publish("model", "1.0.0")
    serving = shop.serve()
    for question in (serving.lease, serving.current):
        with pytest.raises(Unavailable):
            question()
    serving.start({"model": "1.0.0"})
    assert serving.close() == []
    with pytest.raises(Unavailable):
        serving.lease()
    assert shop.loader.closes("model 1.0.0") == [1]


def test_hundreds_of_swaps_under_sixteen_threads_mix_no_set_and_close_each_version_once(shop: Workshop) -> None:
    """Two components that belong together by their version, room for three sets, old ones closed in threads."""
    versions = ["1.0.0", "2.0.0", "3.0.0"]
    for version in versions:
        vocabulary = shop.publish("tokenizer", version)
        shop.publish("model", version, mates={"tokenizer": vocabulary})
    serving = shop.serve(
        {"model": "1.0.0", "tokenizer": "1.0.0"},
        budget=64 * 6,
        aside=lambda work: threading.Thread(target=work).start(),
    )

    def request() -> None:
        with serving.lease() as models:
            generation = models.generation
            model, tokenizer = models["model"].model(), models["tokenizer"].model()
            assert model.split()[1] == tokenizer.split()[1], "a mixed set"
            time.sleep(0.001)  # the work of a request: threads that only spin starve the one that swaps
            assert (models["model"].model(), models.generation) == (model, generation)

    def swaps() -> None:
        for turn in range(1, 201):
            version = versions[turn % 3]
            serving.swap({"model": version, "tokenizer": version}, who="ann", why=f"turn {turn}")

    assert during(swaps, request) > 200
    assert serving.current().generation == 201
    assert serving.close() == []
    assert serving.pool.budget.used() == 0
    assert {model.closed for model in shop.loader.models} == {1}
