"""A reload changes a running host as a whole, or not at all, and says what needs a restart."""

from __future__ import annotations

import json

from modelhost.routing.request import RequestFacts
from tests.modelhost.host.service import PAIR, Service, words

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
    with host.request():
        pass
    host.close()
    (line,) = (service.path / "requests.jsonl").read_text().splitlines()
    noted = json.loads(line)
    assert (noted["version"], noted["preview"], noted["confidence"]) == ("1.0.0", "abc…", 0.5)
    assert noted["id"] == models.id
