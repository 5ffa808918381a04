"""The contract gate against services that serve a description, or do not."""

from __future__ import annotations

from typing import Any

import yaml

from release.checks.contract import ContractCheck
from release.config.checks import Contract
from release.verdict import Outcome


def described(*fields: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in fields}}
    response = {"200": {"content": {"application/json": {"schema": schema}}}}
    return {"openapi": "3.1.0", "paths": {"/t": {"get": {"responses": response}}}}


GONE = "GET /t response 200 application/json /b was removed"


def test_the_same_description_passes(serve, subject) -> None:
    url = serve(lambda *_: (200, described("a"))).url
    verdict = ContractCheck(Contract()).run(subject(url, url))
    assert (verdict.outcome, verdict.reason) == (Outcome.PASS, "no change; 1 operations")


def test_a_breaking_change_fails_is_named_and_can_be_allowed(serve, subject) -> None:
    made = subject(serve(lambda *_: (200, described("a", "c"))).url, serve(lambda *_: (200, described("a", "b"))).url)
    verdict = ContractCheck(Contract()).run(made)
    assert verdict.outcome is Outcome.FAIL
    assert verdict.reason == f"1 change breaks callers of live: {GONE}"
    assert verdict.evidence["other"] == ["GET /t response 200 application/json /c was added"]
    allowed = ContractCheck(Contract(allow=(GONE, "something else"))).run(made)
    assert allowed.outcome is Outcome.PASS
    assert "1 breaking but allowed" in allowed.reason
    assert allowed.evidence["unused_allow"] == ["something else"]


def test_the_first_deployment_is_skipped_with_its_reason(serve, subject) -> None:
    verdict = ContractCheck(Contract()).run(subject(serve(lambda *_: (200, described("a"))).url))
    assert verdict.outcome is Outcome.SKIPPED
    assert "first deployment has nothing to compare with" in verdict.reason


def test_a_candidate_without_a_description_fails_whatever_live_has(serve, subject) -> None:
    without = serve(lambda *_: (404, b"not found")).url
    broken = serve(lambda *_: (200, b"<html>")).url
    live = serve(lambda *_: (200, described("a"))).url
    made = subject(without, live)
    assert ContractCheck(Contract()).run(made).outcome is Outcome.FAIL
    assert ContractCheck(Contract()).run(subject(without)).outcome is Outcome.FAIL
    verdict = ContractCheck(Contract(openapi="/api")).run(subject(broken, live))
    assert verdict.outcome is Outcome.FAIL
    assert "no OpenAPI description at /api" in verdict.reason


def test_live_without_a_description_is_skipped_and_a_broken_live_is_no_data(serve, subject) -> None:
    candidate = serve(lambda *_: (200, described("a"))).url
    verdict = ContractCheck(Contract()).run(subject(candidate, serve(lambda *_: (404, b"")).url))
    assert verdict.outcome is Outcome.SKIPPED
    assert "has no OpenAPI description" in verdict.reason
    for answer in ((500, b"oops"), (200, b"{"), (200, {"swagger": "2.0"})):
        verdict = ContractCheck(Contract()).run(subject(candidate, serve(lambda *_, answer=answer: answer).url))
        assert verdict.outcome is Outcome.NO_DATA, answer


def test_a_description_in_yaml_is_read(serve, subject) -> None:
    url = serve(lambda *_: (200, yaml.safe_dump(described("a")).encode())).url
    assert ContractCheck(Contract()).run(subject(url, url)).outcome is Outcome.PASS
