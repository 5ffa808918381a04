"""A host on one YAML file: requests keep their set, switches are marked, a start goes on where it was."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from modelhost.errors import Conflict, InvalidRequest, NothingStable, Refused, Unavailable, Unknown
from modelhost.registry.base import Status, StatusChange
from modelhost.routing.request import RequestFacts
from tests.modelhost.host.service import PAIR, Service, words
from tests.modelhost.serving.workshop import eventually


def test_a_request_sees_the_newest_stable_set(service: Service) -> None:
    service.pair("1.0.0", "1.1.0")
    host = service.open(PAIR)
    with host.request() as models:
        assert models["model"].model() == "model 1.1.0"
        assert dict(models.versions) == {"model": "1.1.0", "tokenizer": "1.1.0"}
        assert (models.component, models.version, models.variant, models.reason) == ("model", "1.1.0", "", "default")
        assert models.generation == 1


def test_a_request_keeps_its_set_while_others_are_promoted(service: Service) -> None:
    service.pair("1.0.0", "1.1.0")
    host = service.open(PAIR)
    host.promote({"model": "1.0.0", "tokenizer": "1.0.0"}, who="ann", why="compare")
    with host.request() as models:
        host.promote({"model": "1.1.0", "tokenizer": "1.1.0"}, who="ann", why="back")
        assert {each.model() for each in models.set.values()} == {"model 1.0.0", "tokenizer 1.0.0"}
    assert words(host) == {"model": "model 1.1.0", "tokenizer": "tokenizer 1.1.0"}


def test_promoting_marks_stable_and_a_rollback_of_the_set_rejects(service: Service) -> None:
    service.pair("1.0.0")
    service.pair("2.0.0", stable=False)
    host = service.open(PAIR)
    host.promote({"model": "2.0.0", "tokenizer": "2.0.0"}, who="ann", why="better")
    assert host.registry.find("model", "2.0.0").status is Status.STABLE
    record = host.rollback("translation", who="bob", reason="worse after all")
    assert dict(record.after) == {"model": "1.0.0", "tokenizer": "1.0.0"}
    assert host.registry.find("model", "2.0.0").status is Status.REJECTED
    assert words(host)["model"] == "model 1.0.0"


def test_what_served_last_serves_after_a_restart_unless_the_configuration_names_another(service: Service) -> None:
    service.pair("1.0.0", "1.1.0")
    host = service.open(PAIR)
    host.promote({"model": "1.0.0", "tokenizer": "1.0.0"}, who="ann", why="compare")
    host.close()
    again = service.open()
    assert words(again)["model"] == "model 1.0.0"
    again.close()
    named = PAIR.replace("{model: {}, tokenizer: {}}", "{model: {default: 1.1.0}, tokenizer: {default: 1.1.0}}")
    assert words(service.open(named))["model"] == "model 1.1.0"


def test_a_named_version_of_a_set_brings_its_mates_along(service: Service) -> None:
    service.pair("1.0.0", "1.1.0")
    host = service.open(PAIR)
    host.load("model", "1.0.0")
    assert words(host, RequestFacts(version="1.0.0"), wait=None) == {
        "model": "model 1.0.0",
        "tokenizer": "tokenizer 1.0.0",
    }
    assert words(host)["model"] == "model 1.1.0"


def test_the_public_names_only_what_is_in_memory_or_routable(service: Service) -> None:
    service.pair("1.0.0", "1.1.0", "1.2.0")
    host = service.open(PAIR.replace("model: {}", "model: {routable: [1.1.0]}"))
    with pytest.raises(Unknown, match=r"there is 1\.2\.0, 1\.1\.0"):
        words(host, RequestFacts(version="1.0.0"))
    assert words(host, RequestFacts(version="1.1.0"), wait=None)["model"] == "model 1.1.0"


def test_a_version_that_loads_at_this_moment_is_not_waited_for(service: Service) -> None:
    service.pair("1.0.0", "1.1.0")
    gate = service.loader.gate("model 1.0.0")
    host = service.open(PAIR.replace("model: {}", "model: {routable: [1.0.0]}"))
    with pytest.raises(Unavailable) as refused:
        words(host, RequestFacts(version="1.0.0"))
    assert refused.value.retry_after > 0
    gate.set()
    assert words(host, RequestFacts(version="1.0.0"), wait=None)["model"] == "model 1.0.0"


def test_a_version_without_a_subject_is_refused(service: Service) -> None:
    service.pair("1.0.0")
    host = service.open("registry: {root: models}\ncomponents: {model: {}, tokenizer: {}}\nmemory: {budget: 1MB}\n")
    with pytest.raises(InvalidRequest):
        words(host, RequestFacts(version="1.0.0"))
    assert words(host, RequestFacts(version="1.0.0"), about="model")["model"] == "model 1.0.0"


def test_async_requests_are_the_same(service: Service) -> None:
    service.pair("1.0.0", "1.1.0")
    host = service.open(PAIR)

    async def ask() -> str:
        async with host.request(RequestFacts(version="v1.1.0")) as models:
            await asyncio.sleep(0)
            answer: str = models["model"].model()
            return answer

    assert asyncio.run(ask()) == "model 1.1.0"


def test_a_version_leaves_memory_and_what_serves_does_not(service: Service) -> None:
    service.pair("1.0.0", "1.1.0")
    host = service.open(PAIR)
    assert host.load("model", "1.0.0") == "1.0.0"
    assert host.unload("model", "1.0.0")
    with pytest.raises(Conflict):
        host.unload("model", "1.1.0")


def test_what_was_rejected_is_not_loaded_by_name_also_while_a_request_still_uses_it(service: Service) -> None:
    service.pair("1.0.0", "1.1.0")
    host = service.open(PAIR)
    host.promote({"model": "1.0.0", "tokenizer": "1.0.0"}, who="ann", why="first")
    host.promote({"model": "1.1.0", "tokenizer": "1.1.0"}, who="ann", why="better")
    with host.request():
        host.rollback("translation", who="ann", reason="worse")
        with pytest.raises(Refused, match=r"model 1\.1\.0 is rejected"):
            host.load("model", "1.1.0")
    eventually(lambda: service.loader.closes("model 1.1.0")[-1] == 1)


def test_a_rollback_a_moment_after_the_flip_is_not_undone_by_the_mark_of_the_promotion(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.shop.publish("model", "1.0.0")
    service.shop.publish("model", "1.1.0", stable=False)
    host = service.open("registry: {root: models}\ncomponents: {model: {}}\nmemory: {budget: 10MB}\n")
    mark = host.registry.mark

    def late(*about: Any) -> StatusChange:
        monkeypatch.undo()
        host.rollback("model", who="bob", reason="worse")
        return mark(*about)

    monkeypatch.setattr(host.registry, "mark", late)
    host.promote({"model": "1.1.0"}, who="ann", why="better")
    assert host.registry.find("model", "1.1.0").status is Status.REJECTED
    host.promote({"model": "1.0.0"}, who="ann", why="as it is")
    with pytest.raises(NothingStable):
        host.rollback("model", who="bob", reason="and again")


def test_what_is_idle_leaves_after_its_time(service: Service) -> None:
    service.pair("1.0.0", "1.1.0")
    host = service.open(PAIR.replace("model: {}", "model: {ttl: 0.001s}"))
    host.load("model", "1.0.0")
    eventually(lambda: service.loader.closes("model 1.0.0") == [1])
    assert words(host)["model"] == "model 1.1.0"


def test_a_closed_host_has_freed_everything(service: Service) -> None:
    service.pair("1.0.0")
    host = service.open(PAIR)
    assert host.close() == []
    assert [model.closed for model in service.loader.models] == [1, 1]
    with pytest.raises(Unavailable):
        words(host)
