"""The files that `http` names: a start and a reload say what is wrong with them, and nothing is taken over."""

from __future__ import annotations

import pytest

from modelhost.errors import ConfigError
from modelhost.http.roles import Role
from modelhost.http.service import ModelHttp
from tests.modelhost.http.site import CONFIGURATION, Site

ELSEWHERE = CONFIGURATION.replace("tokens: tokens.jsonl", "tokens: elsewhere.jsonl")
IN_THE_WAY = CONFIGURATION.replace("audit: audit.jsonl", "audit: file/audit.jsonl")
RECORD = CONFIGURATION.replace("audit: audit.jsonl", "record: {path: file/record.jsonl}")


@pytest.fixture
def ready(site: Site) -> Site:
    site.pair("1.0.0", "1.1.0")
    (site.path / "file").touch()  # in the way of a folder, also for root
    return site


@pytest.mark.parametrize(
    ("configuration", "said"),
    [
        (ELSEWHERE, r"elsewhere\.jsonl cannot be read: No such file.*tokens --file \S*elsewhere\.jsonl add NAME ROLE"),
        (IN_THE_WAY, "http.audit: .*file/audit.jsonl cannot be written"),
        (RECORD, "http.record.path: .*file/record.jsonl cannot be written"),
    ],
)
def test_a_start_and_a_reload_refuse_a_file_that_is_of_no_use(ready: Site, configuration: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ready.start(configuration)
    ready.service.end()
    ready.start(CONFIGURATION)
    ready.service.write(configuration)
    refused = ready.ask("POST", "/configuration/reload", {}, role=Role.ADMIN)
    assert (refused.status_code, refused.json()["kind"]) == (422, "ConfigError")
    assert "cannot be" in refused.json()["error"]
    assert ready.ask("GET", "/status", role=Role.VIEWER).json()["configuration"]["generation"] == 1
    ready.service.write(CONFIGURATION)
    assert ready.ask("POST", "/configuration/reload", {}, role=Role.ADMIN).status_code == 200


def test_open_refuses_it_too_and_starts_nothing(ready: Site) -> None:
    ready.service.write(ELSEWHERE)
    with pytest.raises(ConfigError, match="elsewhere"):
        ModelHttp.open(ready.path / "modelhost.yaml", {"safetensors": ready.service.loader})
    assert not ready.service.loader.loads


def test_folders_of_a_trail_and_of_a_record_are_made(ready: Site) -> None:
    http = "http: {tokens: tokens.jsonl, audit: new/audit.jsonl, record: {path: other/new/record.jsonl}}\n"
    ready.start(CONFIGURATION[: CONFIGURATION.index("http:")] + http)
    assert (ready.path / "new" / "audit.jsonl").exists() and (ready.path / "other" / "new" / "record.jsonl").exists()


def test_tokens_that_vanish_let_nobody_in_and_are_no_fault_of_the_caller(ready: Site) -> None:
    ready.start()
    tokens = ready.path / "tokens.jsonl"
    kept = tokens.read_bytes()
    tokens.unlink()
    for method, path in (("GET", "/status"), ("POST", "/promote"), ("POST", "/configuration/reload")):
        answer = ready.ask(method, path, role=Role.ADMIN)
        assert (answer.status_code, answer.json()["kind"]) == (503, "Unavailable")
        assert "tokens.jsonl" in answer.json()["error"] and str(ready.path) not in answer.text
    assert ready.infer().status_code == 200, "the public goes on"
    tokens.write_bytes(kept)
    assert ready.ask("GET", "/status", role=Role.VIEWER).status_code == 200


def test_who_is_refused_leaves_what_it_was_about_in_the_trail(ready: Site) -> None:
    ready.start()
    refused = ready.ask("POST", "/promote/model", {"version": "1.0.0", "reason": "x"}, role=Role.VIEWER)
    assert refused.json()["error"] == "viewer-of-tests is a viewer, and this needs an operator"
    ready.ask("POST", "/v2/repository/models/model/load?version=1.0.0", {})
    ready.ask("POST", "/rollback", {"reason": "x"})
    noted = [(line["what"], line["status"], line["target"]) for line in ready.audit()]
    assert noted == [("promote", 403, {"model": None}), ("load", 401, {"model": "1.0.0"}), ("rollback", 401, None)]
