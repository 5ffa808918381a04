"""What a swap takes of memory at most: both models, whatever the budget would allow."""

from __future__ import annotations

from typing import Any

import pytest

from modelhost.errors import EnvironmentMismatch
from modelhost.loading.base import Loaded, Placement
from modelhost.loading.lease import Lease
from modelhost.registry.base import Entry
from modelhost.serving.serving import Serving
from tests.modelhost.serving.workshop import TextLoader, Workshop, answer

SIZE = 64  # bytes of a model of the workshop
AMPLE = 100 * SIZE


class Watching(TextLoader):
    """Notes the bytes that are reserved in the middle of each load: what a swap holds at most."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []
        self.serving: list[Serving] = []

    def load(self, entry: Entry, placement: Placement) -> Loaded:
        self.seen += [each.pool.budget.used() for each in self.serving]
        return super().load(entry, placement)


def watched(shop: Workshop, first: dict[str, str], **settings: Any) -> tuple[Serving, Watching]:
    loader = Watching()
    shop.loader = loader
    serving = shop.serve(first, budget=AMPLE, **settings)
    loader.serving.append(serving)
    return serving, loader


@pytest.mark.parametrize("keep_previous", [True, False])
def test_three_promotions_in_a_row_hold_two_models_at_most(keep_previous: bool, shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "1.1.0", "1.2.0", "1.3.0")
    serving, loader = watched(shop, {"model": "1.0.0"}, keep_previous=keep_previous)
    for version in ("1.1.0", "1.2.0", "1.3.0"):
        serving.swap({"model": version}, who="ann", why="better")
        assert serving.pool.budget.used() == (2 if keep_previous else 1) * SIZE
    assert loader.seen == [2 * SIZE] * 3
    there = {each.version for each in serving.pool.residents()}
    assert there == ({"1.2.0", "1.3.0"} if keep_previous else {"1.3.0"}), "what was just left is what is kept"


def test_so_do_sets_of_which_one_changes_after_the_other(shop: Workshop) -> None:
    for component in ("model", "tokenizer"):
        shop.publish(component, "1.0.0", "1.1.0", "1.2.0")
    serving, loader = watched(shop, {"model": "1.0.0", "tokenizer": "1.0.0"}, keep_previous=True)
    for changes in ({"model": "1.1.0"}, {"tokenizer": "1.1.0"}, {"model": "1.2.0", "tokenizer": "1.2.0"}):
        loader.seen.clear()
        serving.swap(changes, who="ann", why="better")
        assert max(loader.seen) <= (2 + len(changes)) * SIZE, changes


def test_a_previous_one_that_a_request_still_uses_leaves_with_it(shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "1.1.0", "1.2.0")
    serving, _ = watched(shop, {"model": "1.0.0"}, keep_previous=True)
    with serving.lease() as models:
        serving.swap({"model": "1.1.0"}, who="ann", why="better")
        serving.swap({"model": "1.2.0"}, who="ann", why="better still")
        assert models["model"].model() == "model 1.0.0"
    assert {each.version for each in serving.pool.residents()} == {"1.1.0", "1.2.0"}


def test_a_previous_one_that_is_given_back_while_the_next_set_flips_does_not_stay(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.publish("model", "1.0.0", "1.1.0", "1.2.0")
    serving, _ = watched(shop, {"model": "1.0.0"}, keep_previous=True)
    request = serving.lease()
    serving.swap({"model": "1.1.0"}, who="ann", why="better")
    release = Lease.release

    def late(lease: Lease, *, leave: bool = False) -> None:
        """It was decided that this one is kept, and then another set flips."""
        monkeypatch.setattr(Lease, "release", release)
        assert not leave
        serving.swap({"model": "1.2.0"}, who="ann", why="newest")
        lease.release(leave=leave)

    monkeypatch.setattr(Lease, "release", late)
    request.release()
    assert {each.version for each in serving.pool.residents()} == {"1.1.0", "1.2.0"}
    assert shop.loader.closes("model 1.0.0") == [1]


def test_a_promotion_that_is_refused_has_not_cost_the_quick_way_back(shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "1.1.0")
    shop.publish("model", "1.2.0", environment={"python": "2.7", "packages": {}})
    serving, loader = watched(shop, {"model": "1.0.0"}, keep_previous=True)
    serving.swap({"model": "1.1.0"}, who="ann", why="better")
    with pytest.raises(EnvironmentMismatch):
        serving.swap({"model": "1.2.0"}, who="ann", why="newest")
    serving.rollback("model", who="bob", reason="bad")
    assert answer(serving) == {"model": "model 1.0.0"}
    assert loader.loads["model 1.0.0"] == 1


def test_a_swap_back_to_the_kept_one_loads_nothing_also_where_a_mate_has_to_be_loaded(shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "1.1.0")
    shop.publish("tokenizer", "1.0.0", "1.1.0")
    serving, loader = watched(shop, {"model": "1.0.0", "tokenizer": "1.0.0"}, keep_previous=True)
    serving.swap({"model": "1.1.0"}, who="ann", why="better")
    serving.swap({"model": "1.0.0", "tokenizer": "1.1.0"}, who="ann", why="the other way round")
    assert loader.loads["model 1.0.0"] == 1
