"""Candidates that rules and experiments choose: they answer when they can, and cost nobody an answer when not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from modelhost.errors import ConfigError
from modelhost.host.host import ModelHost
from modelhost.host.watch import Answered, LoadFailure
from modelhost.registry.base import Status
from modelhost.routing.request import RequestFacts
from tests.modelhost.host.service import PAIR, Service, words
from tests.modelhost.loading.published import damage, metadata
from tests.modelhost.serving.workshop import eventually

ALL_TO_CANDIDATE = """
registry: {root: models}
components: {model: {}}
memory: {budget: 10MB}
routing:
  model:
    weights: {name: AB, variants: {treatment: {version: 1.1.0, share: 100%}}}
"""


def test_a_candidate_is_in_memory_soon_after_the_start_and_answers_with_its_label(service: Service) -> None:
    service.shop.publish("model", "1.0.0")
    service.shop.publish("model", "1.1.0", stable=False)
    host = service.open(ALL_TO_CANDIDATE)
    eventually(lambda: words(host)["model"] == "model 1.1.0")
    with host.request(RequestFacts(key="somebody")) as models:
        assert (models.variant, models.version) == ("AB:treatment", "1.1.0")
        assert models.reason == "weight AB:treatment"


def test_while_a_candidate_loads_what_serves_answers(service: Service) -> None:
    service.shop.publish("model", "1.0.0")
    service.shop.publish("model", "1.1.0", stable=False)
    gate = service.loader.gate("model 1.1.0")
    host = service.open(ALL_TO_CANDIDATE)
    with host.request() as models:
        assert models["model"].model() == "model 1.0.0"
        assert models.variant == ""
        assert models.choice is not None and "being loaded" in models.choice.passed_over[0]
    gate.set()
    eventually(lambda: words(host)["model"] == "model 1.1.0")


def test_a_damaged_candidate_is_passed_over_and_its_failure_is_told(service: Service) -> None:
    service.shop.publish("model", "1.0.0")
    service.shop.publish("model", "1.1.0", stable=False)
    damage(service.shop.registry.find("model", "1.1.0"), "changed")
    host = service.open(ALL_TO_CANDIDATE)
    told: list[Answered | LoadFailure] = []
    host.watch(told.append)
    assert {words(host)["model"] for _ in range(20)} == {"model 1.0.0"}
    eventually(lambda: any(isinstance(each, LoadFailure) and "1.1.0" in each.version for each in told))
    eventually(lambda: not host.pool.loading())
    assert {words(host)["model"] for _ in range(20)} == {"model 1.0.0"}
    assert sum(isinstance(each, Answered) for each in told) == 40


def test_a_candidate_that_was_rejected_is_no_choice_any_more(service: Service) -> None:
    service.shop.publish("model", "1.0.0")
    service.shop.publish("model", "1.1.0", stable=False)
    host = service.open(ALL_TO_CANDIDATE)
    eventually(lambda: words(host)["model"] == "model 1.1.0")
    host.registry.mark("model", "1.1.0", Status.REJECTED, "ann", "wrong")
    eventually(lambda: words(host)["model"] == "model 1.0.0")


MAJORS = """
registry: {root: models}
components: {model: {}}
memory: {budget: 10MB}
routing:
  model:
    api: {1: tiny/1, 2: tiny/2}
adapters:
  - from: tiny/2
    to: tiny/1
    use: tests.modelhost.host.standins:older
    examples: [{given: {texts: [a, b], sure: 0.5}, gives: {text: a}}]
"""


def test_an_old_client_is_served_by_a_new_model_and_sees_no_new_field(service: Service) -> None:
    service.shop.publish("model", "2.0.0", interface={**metadata("model", "2.0.0")["interface"], "shape": "tiny/2"})
    host = service.open(MAJORS)
    newest = {"texts": ["x", "y"], "sure": 0.9}
    with host.request(RequestFacts(api=1)) as models:
        assert models.adapt(newest) == {"text": "x"}
    with host.request(RequestFacts(api=2)) as models:
        assert models.adapt(newest) == newest


def test_an_adapter_whose_example_comes_out_otherwise_stops_the_start(service: Service) -> None:
    service.shop.publish("model", "1.0.0")
    with pytest.raises(ConfigError, match="comes out otherwise"):
        service.open(MAJORS.replace("gives: {text: a}", "gives: {text: b}"))


def test_an_experiment_keeps_its_people(service: Service) -> None:
    service.shop.publish("model", "1.0.0")
    service.shop.publish("model", "1.1.0", stable=False)
    host = service.open(ALL_TO_CANDIDATE.replace("100%", "50%"))
    eventually(lambda: "1.1.0" in {each.version for each in host.pool.residents()})

    def dealt() -> dict[str, str]:
        return {key: words(host, RequestFacts(key=key))["model"] for key in map(str, range(40))}

    first = dealt()
    assert set(first.values()) == {"model 1.0.0", "model 1.1.0"}
    assert dealt() == first


def test_a_version_that_is_named_fits_the_set_for_which_it_was_chosen_also_where_that_flips_meanwhile(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mate that serves fits when the way is chosen; a moment later another serves, which does not."""
    for old, new in (("1.0.0", "1.0.1"), ("1.1.0", "1.1.1")):
        digest = service.shop.publish("tokenizer", old)
        service.shop.publish("model", old, new, mates={"tokenizer": digest})
    host = service.open(PAIR)
    host.promote({"translation": "1.0.0"}, who="ann", why="older")
    host.load("model", "1.0.1")
    overrides = host.shelf.overrides

    def flipping(*about: Any) -> Mapping[str, str]:
        found = overrides(*about)
        host.promote({"translation": "1.1.0"}, who="ann", why="better")
        return found

    for ask in (words, lambda *asked: asyncio.run(_words(*asked))):
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(host.shelf, "overrides", flipping)
            said = ask(host, RequestFacts(version="1.0.1"), "translation")
        assert said == {"model": "model 1.0.1", "tokenizer": "tokenizer 1.0.0"}
        assert words(host) == {"model": "model 1.1.0", "tokenizer": "tokenizer 1.1.0"}
        assert {each.leases - len(each.holders) for each in host.pool.residents()} == {0}
        assert not host.serving.live.leaving()
        host.promote({"translation": "1.0.0"}, who="ann", why="older")


async def _words(host: ModelHost, *arguments: Any) -> dict[str, str]:
    async with host.request(*arguments) as models:
        return {name: models[name].model() for name in models.set}
