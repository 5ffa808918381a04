"""The first set after a start: what is wanted, what served before, or what can serve at all."""

from __future__ import annotations

import pytest

from modelhost.errors import IntegrityError, MateMismatch
from modelhost.registry.base import Status
from modelhost.serving.history import Kind
from tests.modelhost.loading.published import damage
from tests.modelhost.serving.workshop import Workshop, answer


def test_without_a_history_the_newest_stable_version_of_every_component_serves(shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "2.0.0")
    shop.publish("tokenizer", "1.0.0")
    serving = shop.serve()
    serving.start()
    assert answer(serving) == {"model": "model 2.0.0", "tokenizer": "tokenizer 1.0.0"}


def test_after_a_restart_the_last_set_serves_again_and_the_count_goes_on(shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "2.0.0")
    first = shop.serve({"model": "2.0.0"})
    first.swap({"model": "1.0.0"}, who="ann", why="steady")
    again = shop.serve()
    again.start()
    assert answer(again) == {"model": "model 1.0.0"}
    assert again.current().generation == 3
    assert again.current().digest == first.current().digest


def test_one_that_was_rejected_meanwhile_gives_way_to_the_newest_stable(shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "2.0.0")
    shop.serve({"model": "2.0.0"})
    shop.mark("model", "2.0.0", Status.REJECTED)
    again = shop.serve()
    again.start()
    assert answer(again) == {"model": "model 1.0.0"}


@pytest.mark.parametrize("how", ["cut", "changed", "missing"])
def test_a_damaged_version_gives_way_to_the_set_that_served_before_it(how: str, shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "2.0.0")
    shop.serve({"model": "1.0.0"}).swap({"model": "2.0.0"}, who="ann", why="better")
    damage(shop.registry.find("model", "2.0.0"), how)
    again = shop.serve()
    record = again.start()
    assert answer(again) == {"model": "model 1.0.0"}
    assert any("weights.safetensors" in note for note in record.notes)
    assert again.events.flush(60)
    told = [event for event in shop.heard if event.record.kind is Kind.START][1:]
    assert [(event.alert, event.record.after) for event in told] == [(True, {"model": "1.0.0"})], "once"
    assert told[0].body.count("weights.safetensors") == 1
    assert again.history.switches()[0].notes == record.notes


@pytest.mark.parametrize("how", ["cut", "version.json"])
def test_where_nothing_served_yet_a_damaged_version_gives_way_to_an_older_stable_one(how: str, shop: Workshop) -> None:
    shop.publish("tokenizer", "1.0.0")
    shop.publish("model", "0.9.0", "1.0.0", "2.0.0")
    shop.publish("model", "1.5.0", stable=False)
    newest = shop.registry.find("model", "2.0.0")
    if how == "version.json":
        (newest.path / "version.json").unlink()
    else:
        damage(newest, how)
    serving = shop.serve(fallbacks=[shop.dictionary()])
    record = serving.start()
    assert answer(serving) == {"model": "model 1.0.0", "tokenizer": "tokenizer 1.0.0"}
    assert record.fallbacks == () and any("2.0.0" in note for note in record.notes)
    assert serving.events.flush(60)
    assert shop.heard[-1].alert


def test_an_older_version_brings_the_mate_that_it_names(shop: Workshop) -> None:
    for number in ("1.0.0", "2.0.0"):
        shop.publish("model", number, mates={"tokenizer": shop.publish("tokenizer", number)})
    damage(shop.registry.find("model", "2.0.0"), "cut")
    serving = shop.serve(fallbacks=[shop.dictionary()])
    serving.start()
    assert answer(serving) == {"model": "model 1.0.0", "tokenizer": "tokenizer 1.0.0"}


def test_where_nothing_else_can_serve_the_fallback_does_for_the_component_that_cannot(shop: Workshop) -> None:
    shop.publish("model", "1.0.0")
    shop.publish("tokenizer", "1.0.0")
    damage(shop.registry.find("model", "1.0.0"), "cut")
    with pytest.raises(IntegrityError):
        shop.serve({"model": "1.0.0", "tokenizer": "1.0.0"})
    serving = shop.serve(fallbacks=[shop.dictionary()])
    record = serving.start({"model": "1.0.0", "tokenizer": "1.0.0"})
    assert answer(serving) == {"model": "model by dictionary", "tokenizer": "tokenizer 1.0.0"}
    assert record.fallbacks == ("model",)


def test_versions_that_are_well_and_do_not_fit_together_are_refused(shop: Workshop) -> None:
    shop.publish("tokenizer", "1.0.0")
    shop.publish("model", "1.0.0", mates={"tokenizer": "sha256:" + "0" * 64})
    with pytest.raises(MateMismatch):
        shop.serve({"model": "1.0.0", "tokenizer": "1.0.0"}, fallbacks=[shop.dictionary()])
