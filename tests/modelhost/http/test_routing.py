"""Which version answers over HTTP, and what is told of it: headers, log lines, the record of requests."""

from __future__ import annotations

import hashlib
import json
import logging
import struct
from io import StringIO

import pytest

from modelhost.http.roles import Role
from tests.modelhost.http.site import CONFIGURATION, Site
from tests.modelhost.serving.workshop import eventually

EXPERIMENT = """
routing:
  translation:
    rules: [{name: short, when: text_length == 6, version: stable}]
    weights: {name: AB, variants: {treatment: {version: 1.0.0, share: 100%}}}
"""
RECORD = "http: {tokens: tokens.jsonl, audit: audit.jsonl, record: {path: requests.jsonl, preview: 3}}"


@pytest.mark.parametrize("ask", ["/say/x?version=9.9.9", "/say/x"])
def test_a_version_that_is_not_there_is_a_404_that_lists_what_there_is(site: Site, ask: str) -> None:
    site.pair("1.0.0", "1.1.0", "1.2.0")
    site.start(CONFIGURATION.replace("model: {}", "model: {routable: [1.0.0]}"))
    answer = site.ask("GET", ask, headers={"X-Model-Version": "9.9.9"})
    assert (answer.status_code, answer.json()["kind"]) == (404, "Unknown")
    assert answer.json()["error"] == "model has no version '9.9.9' to ask for"
    assert answer.json()["hint"] == "there is 1.2.0, 1.0.0 (loads first)"


def test_or_the_default_answers_where_the_configuration_says_so(site: Site) -> None:
    site.pair("1.0.0")
    site.start(CONFIGURATION + "routing: {translation: {unknown: default}}")
    answer = site.ask("GET", "/say/x?version=9.9.9")
    assert (answer.status_code, answer.headers["X-Model-Version"]) == (200, "1.0.0")


def test_a_rule_over_the_length_of_texts_decides_for_tensors_too(site: Site) -> None:
    site.pair("1.0.0", "1.1.0")
    rule = "rules: [{name: short, when: text_length == 2, version: 1.0.0}]"
    site.start(CONFIGURATION + f"routing: {{translation: {{{rule}}}}}")

    def answered(*texts: str) -> str:
        numbers = {"name": "numbers", "datatype": "FP32", "shape": [1, 4], "data": [0] * 4}
        text = {"name": "text", "datatype": "BYTES", "shape": [len(texts)], "data": list(texts)}
        return str(site.ask("POST", "/v2/models/model/infer", {"inputs": [text, numbers]}).json()["model_version"])

    eventually(lambda: answered("你好") == "1.0.0")
    assert (answered("a", "b"), answered("long"), answered()) == ("1.0.0", "1.1.0", "1.1.0")


def test_headers_log_lines_and_the_record_name_version_and_variant(site: Site) -> None:
    site.pair("1.0.0", "1.1.0")
    line = next(line for line in CONFIGURATION.splitlines() if line.startswith("http:"))
    written = StringIO()
    handler = logging.StreamHandler(written)
    logging.getLogger().addHandler(handler)
    try:
        host = site.start(CONFIGURATION.replace(line, RECORD) + EXPERIMENT)
        eventually(lambda: site.ask("GET", "/say/warm").headers["X-Model-Version"] == "1.0.0")
        assert site.ask("GET", "/say/longer").headers["X-Model-Version"] == "1.1.0"
        treated = site.ask("GET", "/say/hello")
        tensors = site.infer()
    finally:
        logging.getLogger().removeHandler(handler)
    assert (treated.headers["X-Model-Version"], treated.headers["X-Model-Variant"]) == ("1.0.0", "AB:treatment")
    assert "[1.1.0] hears longer" in written.getvalue()
    assert "[1.0.0] [AB:treatment] hears hello" in written.getvalue()

    host.close()
    *_, recorded = (json.loads(line) for line in (site.path / "requests.jsonl").read_text().splitlines())
    assert recorded.pop("latency_ms") > 0
    assert recorded.pop("at")
    numbers = hashlib.sha256(struct.pack("<8f", 1, 2, 3, 4, 0, 0, 0, 0.5)).hexdigest()
    assert recorded == {
        "id": tensors.headers["X-Request-Id"],
        "component": "model",
        "version": "1.0.0",
        "variant": "AB:treatment",
        "versions": {"model": "1.0.0", "tokenizer": "1.0.0"},
        "reason": "weight AB:treatment",
        "outcome": "answered",
        "input_hash": hashlib.sha256(f"a\nb\nnumbers FP32 [2, 4] {numbers}".encode()).hexdigest(),
        "preview": "a\n…",
        "confidence": 0.75,
    }


@pytest.mark.parametrize(("given", "kept"), [("3f2a-17:b", True), ("a b", False), ("x" * 129, False)])
def test_the_name_that_a_proxy_gave_a_request_is_kept_where_it_can_stand_in_a_log(
    site: Site, given: str, kept: bool
) -> None:
    site.pair("1.0.0")
    site.start()
    answered = site.ask("GET", "/say/x", headers={"X-Request-Id": given}).headers["X-Request-Id"]
    assert (answered == given) is kept
    assert answered


FOREIGN = [
    "Basic YW5uOnNlY3JldA==",
    "Bearer eyJhbGciOiJIUzI1NiJ9.e30.sig",
    "Bearer",
    "Bearer mhx",
    "Negotiate mh_a_b",
    "nonsense",
    "",
]


@pytest.mark.parametrize("foreign", FOREIGN)
def test_what_is_no_token_of_ours_says_nothing_of_who_calls_and_opens_no_door(site: Site, foreign: str) -> None:
    site.pair("1.0.0", "1.1.0")
    rule = 'rules: [{name: staff, when: user_role == "viewer", version: 1.0.0}]'
    site.start(CONFIGURATION + f"routing: {{translation: {{{rule}}}}}")
    sent = {"Authorization": foreign}
    eventually(lambda: site.ask("GET", "/say/x", role=Role.VIEWER).headers["X-Model-Version"] == "1.0.0")
    answer = site.ask("GET", "/say/x", headers=sent)
    assert (answer.status_code, answer.headers["X-Model-Version"]) == (200, "1.1.0")
    assert site.infer(headers=sent).json()["model_version"] == "1.1.0"
    assert site.ask("GET", "/metrics", headers=sent).status_code == 200
    for method, path in (("GET", "/status"), ("POST", "/promote"), ("POST", "/v2/repository/index")):
        refused = site.ask(method, path, {} if method == "POST" else None, headers=sent)
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert "none of ours" in refused.json()["error"]


def test_a_token_that_is_written_as_ours_and_is_nobodys_is_refused_everywhere(site: Site) -> None:
    site.pair("1.1.0")
    site.start()
    for authorization in ("Bearer mh_000000000000_wrong", "bearer  mh_", f"Bearer {site.tokens[Role.VIEWER]}x"):
        answer = site.ask("GET", "/say/x", headers={"Authorization": authorization})
        assert (answer.status_code, "nobody has this token" in answer.json()["error"]) == (401, True)


def test_a_service_without_tokens_answers_behind_a_proxy_that_has_its_own(site: Site) -> None:
    site.pair("1.1.0")
    site.start(CONFIGURATION.replace("tokens: tokens.jsonl, ", ""))
    assert site.ask("GET", "/say/x", headers={"Authorization": FOREIGN[0]}).status_code == 200
    assert site.infer(headers={"Authorization": FOREIGN[1]}).status_code == 200
