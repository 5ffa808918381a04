"""A reload changes a running host as a whole, or not at all, and says what needs a restart."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from modelhost.host.host import ModelHost
from modelhost.routing.request import RequestFacts
from modelhost.serving.history import Record
from tests.modelhost.host.service import PAIR, Service, words
from tests.modelhost.serving.workshop import eventually

RULE = """
routing:
  translation:
    rules: [{name: short, when: text_length < 20, version: 1.0.0}]
"""
FLAT = "\n".join(line.strip() for line in PAIR.strip().splitlines()) + "\n"
SHORT = RequestFacts(features={"text_length": 5})


def test_a_rule_that_a_reload_brings_in_decides_from_then_on(service: Service) -> None:
    service.pair("1.0.0", "1.1.0")
    host = service.open(FLAT)
    assert words(host, SHORT)["model"] == "model 1.1.0"
    host.load("model", "1.0.0")
    host.load("tokenizer", "1.0.0")
    service.write(FLAT + RULE)
    assert host.reload().changed == ("routing",)
    assert words(host, SHORT) == {"model": "model 1.0.0", "tokenizer": "tokenizer 1.0.0"}
    assert words(host, RequestFacts(features={"text_length": 50}))["model"] == "model 1.1.0"


def test_a_bad_file_leaves_everything_as_it_was(service: Service) -> None:
    service.pair("1.0.0", "1.1.0")
    host = service.open(FLAT)
    service.write(FLAT + RULE.replace("text_length", "text_lenght"))
    outcome = host.reload()
    assert not outcome.ok and "text_length" in outcome.error
    assert words(host, SHORT)["model"] == "model 1.1.0"


def test_another_default_is_a_swap_that_is_made_or_refused_with_the_rest(service: Service) -> None:
    service.pair("1.0.0", "1.1.0")
    host = service.open(FLAT)
    both = FLAT.replace("{model: {}, tokenizer: {}}", "{model: {default: 1.0.0}, tokenizer: {default: 1.0.0}}")
    service.write(both)
    assert host.reload().ok
    assert words(host) == {"model": "model 1.0.0", "tokenizer": "tokenizer 1.0.0"}
    service.write(both.replace("1.0.0", "1.1.0", 1) + RULE)
    outcome = host.reload()
    assert not outcome.ok and "do not fit together" in outcome.error
    assert words(host) == {"model": "model 1.0.0", "tokenizer": "tokenizer 1.0.0"}
    assert host.settings.routing == {}


def test_a_reload_that_is_refused_for_a_promotion_does_not_take_that_promotion_back(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.shop.publish("model", "1.0.0", "1.1.0", "1.2.0")
    alone = "registry: {root: models}\ncomponents: {model: {default: 1.0.0}}\nmemory: {budget: 10MB}\n"
    host = service.open(alone)
    gate = service.loader.gate("model 1.2.0")
    append = host.serving.history.append
    with ThreadPoolExecutor(1) as threads, monkeypatch.context() as meanwhile:
        promotion = threads.submit(host.promote, {"model": "1.2.0"}, who="ann", why="better")
        assert service.loader.begun["model 1.2.0"].wait(30)

        def while_it_ends(record: Record) -> str:
            if record.who == "configuration":
                gate.set()
                promotion.result(30)
            return append(record)

        meanwhile.setattr(host.serving.history, "append", while_it_ends)
        service.write(alone.replace("1.0.0", "1.1.0"))
        outcome = host.reload()
    assert not outcome.ok and "another swap is under way" in outcome.error
    assert words(host) == {"model": "model 1.2.0"}


def test_another_registry_needs_a_restart(service: Service) -> None:
    service.pair("1.0.0")
    host = service.open(FLAT)
    service.write(FLAT.replace("root: models", "root: others"))
    outcome = host.reload()
    assert not outcome.ok and "restart" in outcome.error


def test_requests_are_recorded_where_the_configuration_wants_that(service: Service) -> None:
    service.pair("1.0.0")
    host = service.open(FLAT)
    service.write(FLAT + "http: {record: {path: requests.jsonl, preview: 4}}\n")
    assert host.reload().ok
    with host.request() as models:
        models.input, models.confidence = "abcdefgh", 0.5
    host.close()
    (line,) = (service.path / "requests.jsonl").read_text().splitlines()
    noted = json.loads(line)
    assert (noted["version"], noted["preview"], noted["confidence"]) == ("1.0.0", "abc…", 0.5)
    assert noted["versions"] == {"model": "1.0.0", "tokenizer": "1.0.0"}
    assert (noted["id"], noted["outcome"]) == (models.id, "answered")


def test_a_request_without_an_input_and_one_that_failed_are_recorded_as_what_they_are(service: Service) -> None:
    service.pair("1.0.0")
    host = service.open(FLAT + "http: {record: {path: requests.jsonl, preview: 4}}\n")
    with host.request():
        pass
    with pytest.raises(ZeroDivisionError), host.request() as models:
        models.input = "ab"
        raise ZeroDivisionError
    host.close()
    noted = [json.loads(line) for line in (service.path / "requests.jsonl").read_text().splitlines()]
    assert [(each["input_hash"] is None, each["preview"], each["outcome"]) for each in noted] == [
        (True, None, "answered"),
        (False, "ab", "failed"),
    ]


def test_what_the_record_lacks_is_counted_over_a_reload(service: Service) -> None:
    service.pair("1.0.0")
    record = "http: {{record: {{path: requests.jsonl, keep: {}}}}}\n"
    host = service.open(FLAT + record.format(1))
    (service.path / "requests.jsonl").unlink()
    (service.path / "requests.jsonl").mkdir()  # nobody can write it any more
    for dropped in (1, 2):
        with host.request():
            pass
        eventually(lambda dropped=dropped: host.unrecorded == dropped)  # type: ignore[misc]
    (service.path / "requests.jsonl").rmdir()
    service.write(FLAT + record.format(2))
    assert host.reload().ok
    assert host.unrecorded == 2


def of_model(host: ModelHost) -> list[str]:
    return [each.version for each in host.pool.residents() if each.component == "model"]


def test_what_was_replaced_stays_in_memory_unless_the_configuration_says_otherwise(service: Service) -> None:
    service.pair("1.0.0", "1.1.0", "1.2.0")
    host = service.open(FLAT)
    host.promote({"translation": "1.0.0"}, who="ann", why="older")
    assert of_model(host) == ["1.0.0", "1.2.0"]
    service.write(FLAT.replace("10MB", "10MB, keep_previous: false"))
    assert host.reload().changed == ("memory",)
    assert of_model(host) == ["1.0.0"], "it leaves at once"
    host.promote({"translation": "1.1.0"}, who="ann", why="newer")
    eventually(lambda: of_model(host) == ["1.1.0"])
    service.write(FLAT)
    assert host.reload().ok
    host.promote({"translation": "1.2.0"}, who="ann", why="newest")
    assert of_model(host) == ["1.1.0", "1.2.0"]
    again = service.open(FLAT.replace("10MB", "10MB, keep_previous: false"))
    again.promote({"translation": "1.0.0"}, who="ann", why="older")
    eventually(lambda: of_model(again) == ["1.0.0"])


def test_what_the_code_says_of_memory_goes_before_the_configuration(service: Service) -> None:
    service.pair("1.0.0", "1.1.0")
    host = service.open(FLAT.replace("10MB", "10MB, keep_previous: false, workers: 4"), keep_previous=True, workers=2)
    assert host.pool.budget.limit() == 5_000_000
    host.promote({"translation": "1.0.0"}, who="ann", why="older")
    assert of_model(host) == ["1.0.0", "1.1.0"]
    service.write(FLAT.replace("10MB", "10MB, keep_previous: true, workers: 4"))
    assert host.reload().ok
    service.write(FLAT.replace("10MB", "10MB, keep_previous: false, workers: 4"))
    assert host.reload().ok
    assert of_model(host) == ["1.0.0", "1.1.0"]


@pytest.mark.parametrize("key", ["budget", "workers"])
def test_the_budget_is_divided_among_workers_and_another_needs_a_restart(service: Service, key: str) -> None:
    service.pair("1.0.0")
    host = service.open(FLAT.replace("10MB", "10MB, workers: 4"))
    assert host.pool.budget.limit() == 2_500_000
    service.write(FLAT.replace("10MB", {"budget": "9MB, workers: 4", "workers": "10MB, workers: 2"}[key]))
    outcome = host.reload()
    assert not outcome.ok and f"memory.{key} changed: restart" in outcome.error
    assert host.pool.budget.limit() == 2_500_000
