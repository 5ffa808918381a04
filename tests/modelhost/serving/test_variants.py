"""Other versions than the live ones, for one request."""

from __future__ import annotations

import asyncio

import pytest

from modelhost.errors import Loading, MateMismatch, Unknown
from tests.modelhost.serving.workshop import Workshop, answer


def test_a_request_gets_the_versions_it_names_and_the_others_stay_with_the_live_set(shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "2.0.0")
    shop.publish("tokenizer", "1.0.0")
    serving = shop.serve({"model": "1.0.0", "tokenizer": "1.0.0"})
    with serving.variants.lease({"model": "2.0.0"}, wait=None) as models:
        assert {name: each.model() for name, each in models.items()} == {
            "model": "model 2.0.0",
            "tokenizer": "tokenizer 1.0.0",
        }
        assert models.digest != serving.current().digest
    assert answer(serving)["model"] == "model 1.0.0"
    with serving.variants.lease({"model": "1.0.0"}) as models:
        assert models is serving.current()
    assert all(each.leases == len(each.holders) for each in serving.pool.residents())


def test_a_variant_outlives_a_swap_and_closes_with_its_last_lease(shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "2.0.0", "3.0.0")
    serving = shop.serve({"model": "1.0.0"})
    lease = serving.variants.lease({"model": "2.0.0"}, wait=None)
    serving.swap({"model": "3.0.0"}, who="ann", why="better")
    serving.pool.discard("model", "2.0.0")
    assert lease.set["model"].model() == "model 2.0.0"
    lease.release()
    lease.release()
    assert shop.loader.closes("model 2.0.0") == [1]
    assert shop.loader.closes("model 1.0.0") == [1]


def test_a_variant_that_does_not_fit_or_is_not_there_is_refused_and_holds_nothing(shop: Workshop) -> None:
    old = shop.publish("tokenizer", "1.0.0")
    shop.publish("model", "1.0.0", mates={"tokenizer": old})
    shop.publish("model", "2.0.0", mates={"tokenizer": "sha256:" + "0" * 64})
    serving = shop.serve({"model": "1.0.0", "tokenizer": "1.0.0"})
    with pytest.raises(MateMismatch):
        serving.variants.lease({"model": "2.0.0"}, wait=None)
    with pytest.raises(Unknown, match="these do: model, tokenizer"):
        serving.variants.lease({"decoder": "1.0.0"})
    with pytest.raises(Unknown):
        serving.variants.lease({"model": "7.0.0"}, wait=None)
    assert all(each.leases == len(each.holders) for each in serving.pool.residents())


def test_an_event_loop_gets_one_too_or_is_told_to_wait(shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "2.0.0")
    serving = shop.serve({"model": "1.0.0"})
    gate = shop.loader.gate("model 2.0.0")

    async def story() -> None:
        with pytest.raises(Loading):
            await serving.variants.lease_async({"model": "2.0.0"}, wait=0.01)
        gate.set()
        with await serving.variants.lease_async({"model": "2.0.0"}, wait=None) as models:
            assert models["model"].model() == "model 2.0.0"

    asyncio.run(story())
