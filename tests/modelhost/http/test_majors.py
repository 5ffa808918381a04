"""Two majors of one API over HTTP: a client of `/v1` asks and is answered as ever, whichever model serves."""

from __future__ import annotations

from tests.modelhost.http.site import CONFIGURATION, INTERFACE, Site

MAJORS = """
routing: {model: {api: {1: tiny/1, 2: tiny/2}}}
adapters:
  - {from: tiny/2, to: tiny/1, use: "tests.modelhost.host.standins:older", examples: [
      {given: {texts: [a, b], sure: 0.5}, gives: {text: a}}]}
  - {from: tiny/1, to: tiny/2, of: request, use: "tests.modelhost.host.standins:newer", examples: [
      {given: {text: a}, gives: {texts: [a], beams: 4}}]}
"""


def test_an_old_client_asks_a_new_model_as_ever_and_sees_no_new_field(site: Site) -> None:
    site.pair("2.0.0")
    site.service.shop.publish("model", "2.1.0", interface={**INTERFACE, "shape": "tiny/2"})
    site.start(CONFIGURATION + MAJORS)
    old = site.ask("POST", "/v1/echo", {"text": "hello", "unknown": 1})
    assert (old.status_code, old.json()) == (200, {"text": "model 2.1.0: hello"})
    new = site.ask("POST", "/v2/echo", {"texts": ["a", "b"], "beams": 1})
    assert new.json() == {"texts": ["model 2.1.0: a", "model 2.1.0: b"], "beams": 1, "sure": 0.9}
    assert old.headers["X-Model-Version"] == new.headers["X-Model-Version"] == "2.1.0"


def test_what_an_old_client_sends_wrong_is_told_in_its_own_words(site: Site) -> None:
    site.service.shop.publish("tokenizer", "2.0.0")
    site.service.shop.publish("model", "2.1.0", interface={**INTERFACE, "shape": "tiny/2"})
    site.start(CONFIGURATION + MAJORS)
    wrong = site.ask("POST", "/v1/echo", {"texts": ["hello"]})
    assert (wrong.status_code, wrong.json()["kind"]) == (400, "InvalidRequest")
    assert "cannot be read as tiny/1" in wrong.json()["error"]
    assert site.ask("POST", "/v9/echo", {}).status_code == 404


def test_an_endpoint_that_says_its_shape_leaks_none_of_it_where_an_old_model_answers(site: Site) -> None:
    site.pair("2.0.0")
    site.start(CONFIGURATION + MAJORS)
    assert site.service.open_hosts[0].serving.current()["model"].entry.info.interface.shape == "tiny/1"
    old = site.ask("POST", "/v1/written", {"text": "hello"})
    assert (old.status_code, old.json()) == (200, {"text": "model 2.0.0: hello"})


def test_a_major_that_no_version_answers_is_a_400_that_says_what_there_is(site: Site) -> None:
    site.pair("2.0.0")
    site.start(CONFIGURATION + MAJORS)
    refused = site.ask("POST", "/v2/written", {"texts": ["a"], "beams": 1})
    assert (refused.status_code, refused.json()["error"]) == (400, "no version of model answers as tiny/2")
    assert "there are answers as tiny/1" in refused.json()["hint"]
    site.service.shop.publish("model", "2.1.0", stable=False, interface={**INTERFACE, "shape": "tiny/2"})
    site.service.open_hosts[0].load("model", "2.1.0")
    new = site.ask("POST", "/v2/written", {"texts": ["a"], "beams": 1})
    assert (new.headers["X-Model-Version"], new.json()["texts"]) == ("2.1.0", ["model 2.1.0: a"])
