"""Operators switch over HTTP: promote, rollback, reload. Roles hold, and the audit trail has all of it."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from modelhost.http.roles import Role
from modelhost.registry.base import Status
from modelhost.routing.request import RequestFacts
from tests.modelhost.http.site import CONFIGURATION, INTERFACE, Site
from tests.modelhost.serving.workshop import eventually

BOTH = {"model": "1.1.0", "tokenizer": "1.1.0"}
BACK = {"model": "1.0.0", "tokenizer": "1.0.0"}


def test_promote_swaps_a_set_marks_it_stable_and_says_what_it_did(site: Site) -> None:
    site.pair("1.0.0")
    site.pair("1.1.0", stable=False)
    host = site.start()
    answer = site.ask("POST", "/promote", {"versions": BOTH, "reason": "better"}, role=Role.OPERATOR)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert (said["versions"], said["generation"], said["changed"]) == (BOTH, 2, BOTH)
    assert (said["outcome"], said["who"]) == ("switched", "operator-of-tests")
    assert {"load", "warm_up", "flip", "total"} <= said["seconds"].keys()
    assert host.registry.find("model", "1.1.0").status is Status.STABLE
    assert site.ask("GET", "/say/x").json()["model"] == "model 1.1.0"
    standing = site.ask("GET", "/status", role=Role.VIEWER).json()["serving"]
    assert {name: each["status"] for name, each in standing.items()} == dict.fromkeys(BOTH, "stable")


def test_promoting_a_set_brings_the_mates_of_its_first_component_and_the_trail_names_them(site: Site) -> None:
    site.pair("1.0.0")
    site.pair("1.1.0", stable=False)
    host = site.start()
    wish = {"version": "1.1.0", "reason": "better", "expected_generation": 7}
    assert site.ask("POST", "/promote/translation", wish, role=Role.OPERATOR).status_code == 409
    answer = site.ask("POST", "/promote/translation", {**wish, "expected_generation": 1}, role=Role.OPERATOR)
    assert (answer.status_code, answer.json()["versions"]) == (200, BOTH), answer.text
    assert host.registry.find("tokenizer", "1.1.0").status is Status.STABLE
    assert site.audit()[-1]["target"] == BOTH
    back = site.ask("POST", "/promote/translation", {"version": "v1.0.0", "reason": "older"}, role=Role.OPERATOR)
    assert (back.status_code, back.json()["changed"]) == (200, BACK)
    unknown = site.ask("POST", "/promote/translation", {"version": "9.0.0", "reason": "?"}, role=Role.OPERATOR)
    assert unknown.status_code == 404 and "1.1.0" in unknown.json()["hint"]


def test_of_mates_with_the_same_content_the_one_that_serves_stays_else_the_newest_comes(site: Site) -> None:
    site.pair("1.0.0")
    digest = site.service.shop.publish("tokenizer", "1.1.0", content="pieces", interface=INTERFACE)
    site.service.shop.publish("tokenizer", "1.2.0", content="pieces", interface=INTERFACE)
    for version in ("1.1.0", "1.2.0"):
        site.service.shop.publish("model", version, mates={"tokenizer": digest}, interface=INTERFACE, stable=False)
    host = site.start()
    host.promote({"model": "1.0.0", "tokenizer": "1.0.0"}, who="ann", why="begin")
    newest = host.promote({"translation": "1.1.0"}, who="ann", why="the newest of two")
    assert newest.after == {"model": "1.1.0", "tokenizer": "1.2.0"}
    host.promote({"model": "1.1.0", "tokenizer": "1.1.0"}, who="ann", why="the other of two")
    stays = host.promote({"translation": "1.2.0"}, who="ann", why="what serves has it")
    assert stays.after == {"model": "1.2.0", "tokenizer": "1.1.0"}
    mixed = host.promote({"translation": "1.1.0", "tokenizer": "1.2.0"}, who="ann", why="named goes before")
    assert mixed.after == {"model": "1.1.0", "tokenizer": "1.2.0"}


TURNED = CONFIGURATION.replace("[model, tokenizer]", "[tokenizer, model]")


def test_promoting_a_set_whose_first_component_names_no_mate_brings_what_a_request_for_it_gets(site: Site) -> None:
    """The model names its tokenizer, and the set is called by the tokenizer's versions."""
    site.pair("1.0.0")
    site.pair("1.1.0", "1.2.0", stable=False)
    host = site.start(TURNED)
    for version in ("1.1.0", "1.2.0"):
        for component in BOTH:
            host.load(component, version)
    with host.request(RequestFacts(version="1.1.0"), "translation") as models:
        served = dict(models.versions)
    answer = site.ask("POST", "/promote/translation", {"version": "1.1.0", "reason": "better"}, role=Role.OPERATOR)
    assert (answer.status_code, answer.json().get("versions")) == (200, served), answer.text
    assert served == BOTH


def test_a_component_is_promoted_alone_and_where_it_does_not_fit_the_hint_is_the_promotion_that_does(
    site: Site,
) -> None:
    site.pair("1.0.0")
    site.pair("1.1.0", stable=False)
    site.start(TURNED)
    for component in BOTH:
        refused = site.ask("POST", f"/promote/{component}", {"version": "1.1.0", "reason": "?"}, role=Role.OPERATOR)
        assert (refused.status_code, refused.json()["kind"]) == (422, "MateMismatch")
        before, _, versions = refused.json()["hint"].rpartition("POST /promote with versions ")
        assert json.loads(versions) == BOTH and before
    taken = {"versions": json.loads(versions), "reason": "as the hint says"}
    assert site.ask("POST", "/promote", taken, role=Role.OPERATOR).json()["versions"] == BOTH


def test_the_index_says_what_fits_together(site: Site) -> None:
    site.pair("1.0.0")
    site.start()
    rows = {row["name"]: row for row in site.ask("POST", "/v2/repository/index", {}, role=Role.VIEWER).json()}
    assert rows["model"]["mates"] == {"tokenizer": rows["tokenizer"]["digest"]}
    assert rows["tokenizer"]["mates"] == {}


def test_a_set_that_does_not_fit_is_refused_and_nothing_changes(site: Site) -> None:
    site.pair("1.0.0", "1.1.0")
    site.start()
    answer = site.ask("POST", "/promote/model", {"version": "1.0.0", "reason": "try"}, role=Role.OPERATOR)
    assert (answer.status_code, answer.json()["kind"]) == (422, "MateMismatch")
    assert site.ask("GET", "/say/x").json()["model"] == "model 1.1.0"
    noted = site.audit()[-1]
    assert (noted["what"], noted["result"], noted["status"]) == ("promote", "refused", 422)
    assert "do not fit together" in noted["error"]


def test_rollback_of_a_component_of_a_set_and_of_everything(site: Site) -> None:
    site.pair("1.0.0", "1.1.0", "1.2.0")
    host = site.start()
    host.promote(BOTH, who="ann", why="older first")
    host.promote({"model": "1.2.0", "tokenizer": "1.2.0"}, who="ann", why="newest")
    alone = site.ask("POST", "/rollback/model", {"reason": "worse"}, role=Role.OPERATOR)
    assert alone.status_code == 422
    assert 'with "together": true these go back as one: ' in alone.json()["hint"]
    answer = site.ask("POST", "/rollback/model", {"reason": "worse", "together": True}, role=Role.OPERATOR)
    assert answer.json()["versions"] == BOTH, answer.text
    assert host.registry.find("model", "1.2.0").status is Status.REJECTED
    older = site.ask("POST", "/rollback/translation", {"reason": "worse too"}, role=Role.OPERATOR)
    assert older.json()["versions"] == BACK, "stable, and older, though it never served here"
    again = site.ask("POST", "/rollback/translation", {"reason": "no more"}, role=Role.OPERATOR)
    assert (again.status_code, again.json()["kind"]) == (422, "NothingStable")
    unknown = site.ask("POST", "/rollback/decoder", {"reason": "worse"}, role=Role.OPERATOR)
    assert unknown.status_code == 404


def test_rollback_to_a_named_version(site: Site) -> None:
    site.pair("1.0.0", "1.1.0")
    site.start()
    body = {"to_version": "1.0.0", "reason": "asked for"}
    refused = site.ask("POST", "/rollback/model", body, role=Role.OPERATOR)
    assert (refused.status_code, refused.json()["kind"]) == (422, "MateMismatch"), refused.text
    assert site.ask("POST", "/rollback", {**body}, role=Role.OPERATOR).status_code == 400
    back = site.ask("POST", "/rollback/model", {**body, "together": True}, role=Role.OPERATOR)
    assert back.json()["versions"] == BACK, "older and stable, though no set with it ever served"


def test_a_switch_that_was_meant_for_another_generation_is_told_what_serves(site: Site) -> None:
    site.pair("1.0.0", "1.1.0")
    site.start()
    wish = {"versions": BACK, "reason": "compare", "expected_generation": 7}
    refused = site.ask("POST", "/promote", wish, role=Role.OPERATOR)
    said = refused.json()
    assert (refused.status_code, said["kind"]) == (409, "Superseded"), said
    assert (said["generation"], said["versions"]) == (1, BOTH)
    assert site.ask("POST", "/promote", {**wish, "expected_generation": 1}, role=Role.OPERATOR).status_code == 200
    back = {"reason": "worse", "expected_generation": 1}
    refused = site.ask("POST", "/rollback/translation", back, role=Role.OPERATOR)
    assert (refused.status_code, refused.json()["versions"]) == (409, BACK)
    gone = site.ask("POST", "/rollback", {**back, "expected_generation": 2}, role=Role.OPERATOR)
    assert (gone.status_code, gone.json()["versions"]) == (200, BOTH), gone.text
    assert [each["status"] for each in site.audit()] == [409, 200, 409, 200]
    for wrong in ("1", -1, 1.5):
        assert (
            site.ask("POST", "/promote", {**wish, "expected_generation": wrong}, role=Role.OPERATOR).status_code == 400
        )


def test_rollback_to_a_generation_is_one_of_everything(site: Site) -> None:
    site.pair("1.0.0", "1.1.0", "1.2.0")
    host = site.start()
    host.promote(BOTH, who="ann", why="older first")
    host.promote(BACK, who="ann", why="older still")
    alone = {"reason": "worse", "to_generation": 2}
    assert site.ask("POST", "/rollback/model", alone, role=Role.OPERATOR).status_code == 400
    both = {**alone, "to_version": "1.1.0"}
    assert site.ask("POST", "/rollback/model", both, role=Role.OPERATOR).status_code == 400
    assert site.ask("POST", "/rollback", {**alone, "to_generation": 9}, role=Role.OPERATOR).status_code == 404
    gone = site.ask("POST", "/rollback/translation", alone, role=Role.OPERATOR)
    assert (gone.status_code, gone.json()["versions"]) == (200, BOTH), gone.text
    assert site.audit()[-1]["target"] == BOTH


@pytest.mark.parametrize(
    ("method", "path", "body", "least"),
    [
        ("POST", "/promote", {"versions": BACK, "reason": "why"}, Role.OPERATOR),
        ("POST", "/promote/model", {"version": "1.0.0", "reason": "why"}, Role.OPERATOR),
        ("POST", "/rollback", {"reason": "why"}, Role.OPERATOR),
        ("POST", "/rollback/model", {"reason": "why"}, Role.OPERATOR),
        ("POST", "/v2/repository/models/model/load", {}, Role.OPERATOR),
        ("POST", "/v2/repository/models/model/unload", {}, Role.OPERATOR),
        ("POST", "/v2/repository/index", {}, Role.VIEWER),
        ("POST", "/configuration/reload", {}, Role.ADMIN),
        ("GET", "/status", None, Role.VIEWER),
        ("GET", "/history", None, Role.VIEWER),
    ],
)
def test_each_door_opens_from_its_role_on(site: Site, method: str, path: str, body: object, least: Role) -> None:
    site.pair("1.0.0")
    site.start()
    assert site.ask(method, path, body).status_code == 401
    for role in Role:
        status = site.ask(method, path, body, role=role).status_code
        assert (status == 403) == (role < least), (role, status)
        assert status != 401


def test_refused_callers_are_in_the_trail_and_bodies_are_read_after_the_token(site: Site) -> None:
    site.pair("1.0.0")
    site.start()
    assert site.ask("POST", "/promote", {"nonsense": 1}).status_code == 401
    assert site.ask("POST", "/promote", {"nonsense": 1}, role=Role.VIEWER).status_code == 403
    unread = site.ask("POST", "/promote", {"nonsense": 1}, role=Role.OPERATOR)
    assert unread.status_code == 400
    assert "nonsense" in unread.json()["error"]
    nobody, viewer, operator = site.audit()
    assert (nobody["who"], nobody["result"], nobody["status"]) == ("", "refused", 401)
    assert (viewer["who"], viewer["role"], viewer["status"]) == ("viewer-of-tests", "viewer", 403)
    assert (operator["who"], operator["result"], operator["status"]) == ("operator-of-tests", "refused", 400)
    assert all(each["what"] == "promote" and each["client"] == "127.0.0.1" for each in site.audit())


def test_without_a_reason_nothing_happens(site: Site) -> None:
    site.pair("1.0.0", "1.1.0")
    site.start()
    assert site.ask("POST", "/promote", {"versions": BACK}, role=Role.OPERATOR).status_code == 400
    assert site.ask("POST", "/rollback", {"reason": "  "}, role=Role.OPERATOR).status_code == 400
    assert site.ask("GET", "/say/x").json()["model"] == "model 1.1.0"


def test_an_audit_trail_that_cannot_be_written_stops_the_act(site: Site) -> None:
    site.pair("1.0.0", "1.1.0")
    site.start()
    (site.path / "audit.jsonl").unlink()
    (site.path / "audit.jsonl").mkdir()
    answer = site.ask("POST", "/promote", {"versions": BACK, "reason": "why"}, role=Role.OPERATOR)
    assert answer.status_code == 503
    assert "audit" in answer.json()["error"]
    assert site.ask("GET", "/say/x").json()["model"] == "model 1.1.0"


def test_without_a_file_of_tokens_nobody_operates(site: Site) -> None:
    site.pair("1.0.0", "1.1.0")
    site.start(CONFIGURATION.replace("tokens: tokens.jsonl, ", ""))
    answer = site.ask("POST", "/promote", {"versions": BACK, "reason": "why"}, role=Role.ADMIN)
    assert answer.status_code == 401
    assert "knows no tokens" in answer.json()["error"]
    assert site.infer().status_code == 200


def test_status_and_history_say_who_switched_what_and_why(site: Site) -> None:
    site.pair("1.0.0", "1.1.0")
    site.start()
    site.ask("POST", "/promote", {"versions": BACK, "reason": "to compare"}, role=Role.OPERATOR)
    status = site.ask("GET", "/status", role=Role.VIEWER).json()
    assert {name: each["version"] for name, each in status["serving"].items()} == BACK
    assert (status["generation"], status["ready"], status["behind"]) == (2, True, [])
    assert {each["version"] for each in status["resident"]} >= {"1.0.0"}
    latest, start = site.ask("GET", "/history?limit=2", role=Role.VIEWER).json()
    assert (latest["who"], latest["why"], latest["after"]) == ("operator-of-tests", "to compare", BACK)
    assert start["kind"] == "start"
    assert site.ask("GET", "/history?limit=0", role=Role.VIEWER).status_code == 400


def test_a_reload_takes_over_or_says_why_not(site: Site) -> None:
    site.pair("1.0.0", "1.1.0")
    site.start()
    site.service.write(CONFIGURATION + "routing: {translation: {rules: [{name: all, when: 1 <}]}}\n")
    refused = site.ask("POST", "/configuration/reload", {}, role=Role.ADMIN)
    assert refused.status_code == 422
    assert "routing.translation.rules[0]" in refused.json()["error"]
    short = "{name: short, when: text_length < 3, version: 1.0.0}"
    site.service.write(CONFIGURATION + f"routing: {{translation: {{rules: [{short}]}}}}\n")
    for name in ("model", "tokenizer"):
        site.ask("POST", f"/v2/repository/models/{name}/load?version=1.0.0", {}, role=Role.OPERATOR)
    taken = site.ask("POST", "/configuration/reload", {"reason": "a rule"}, role=Role.ADMIN)
    processes = [str(os.getpid())]
    assert taken.json() == {"generation": 2, "changed": ["routing"], "warnings": [], "processes": processes}
    assert site.ask("GET", "/say/x").json() == {"model": "model 1.0.0", "tokenizer": "tokenizer 1.0.0"}
    assert site.ask("GET", "/say/long").json()["model"] == "model 1.1.0"


def test_a_role_in_a_rule_comes_from_a_verified_token_alone(site: Site) -> None:
    site.pair("1.0.0", "1.1.0")
    rule = '{name: admins, when: user_role == "admin", version: 1.0.0}'
    host = site.start(CONFIGURATION + f"routing: {{translation: {{rules: [{rule}]}}}}\n")
    host.load("model", "1.0.0")
    host.load("tokenizer", "1.0.0")
    assert site.ask("GET", "/say/x", role=Role.ADMIN).json()["model"] == "model 1.0.0"
    assert site.ask("GET", "/say/x", role=Role.OPERATOR).json()["model"] == "model 1.1.0"
    forged = {"X-User-Role": "admin", "user_role": "admin"}
    assert site.ask("GET", "/say/x?user_role=admin", headers=forged).json()["model"] == "model 1.1.0"


def test_what_was_left_by_mistake_is_restored_promoted_and_can_be_gone_back_to(site: Site) -> None:
    site.pair("1.0.0", "1.1.0")
    host = site.start()
    for versions in (BACK, BOTH):
        host.promote(versions, who="ann", why="both served")
    wish = {"versions": BOTH, "reason": "it was the network"}
    left = site.ask("POST", "/rollback", {"reason": "slow answers"}, role=Role.OPERATOR)
    assert left.json()["versions"] == BACK
    refused = site.ask("POST", "/promote", wish, role=Role.OPERATOR)
    assert refused.status_code == 422
    assert "restore it first (POST /restore/model {version, reason})" in refused.json()["hint"]
    assert "operator-of-tests rejected it (slow answers); " in refused.json()["hint"]
    why = {"version": "v1.1.0", "reason": "it was the network"}
    assert site.ask("POST", "/restore/model", why, role=Role.VIEWER).status_code == 403
    for component in BOTH:
        restored = site.ask("POST", f"/restore/{component}", why, role=Role.OPERATOR)
        assert restored.json() == {"component": component, "version": "1.1.0", "status": "unstable"}
    assert dict(host.serving.live.current().versions) == BACK
    again = site.ask("POST", "/restore/model", why, role=Role.OPERATOR)
    assert (again.status_code, again.json()["hint"]) == (409, "promote it as it is")
    assert site.ask("POST", "/restore/model", {**why, "version": "7.0.0"}, role=Role.OPERATOR).status_code == 404
    assert site.ask("POST", "/promote", wish, role=Role.OPERATOR).json()["versions"] == BOTH
    word = [change for change in host.registry.log("model") if change.version == "1.1.0"][-2]
    assert (word.status, word.who, word.why) == (Status.UNSTABLE, "operator-of-tests", "it was the network")
    noted = [line for line in site.audit() if line["what"] == "restore"]
    assert [line["result"] for line in noted] == ["refused", "done", "done", "refused", "refused"]
    assert noted[1]["target"] in ({"model": "1.1.0"}, {"tokenizer": "1.1.0"})
    assert site.ask("POST", "/promote", {"versions": BACK, "reason": "look"}, role=Role.OPERATOR).status_code == 200
    assert site.ask("POST", "/rollback", {"reason": "enough"}, role=Role.OPERATOR).json()["versions"] == BOTH


def test_a_promotion_that_could_not_be_marked_says_so_to_who_asked(site: Site) -> None:
    site.pair("1.0.0")
    site.pair("1.1.0", stable=False)
    site.start()
    lock = site.path / "models" / "model" / ".lock"
    lock.unlink()
    lock.mkdir()  # as where the registry cannot be written
    said = site.ask("POST", "/promote", {"versions": BOTH, "reason": "better"}, role=Role.OPERATOR).json()
    assert (said["outcome"], said["versions"]) == ("switched", BOTH)
    (note,) = said["notes"]
    assert note.startswith("model 1.1.0 serves, and could not be marked stable: ")


def test_who_is_killed_in_the_middle_of_an_act_that_takes_long_has_left_a_line(site: Site) -> None:
    site.pair("1.0.0", "1.1.0", "1.2.0")
    site.start(CONFIGURATION.replace("{}", "{default: 1.0.0}"))
    gate = site.service.loader.gate("model 1.1.0")
    bearer = {"Authorization": f"Bearer {site.tokens[Role.OPERATOR]}"}
    url = f"http://127.0.0.1:{site.port}"
    wish = {"versions": BOTH, "reason": "better"}
    with ThreadPoolExecutor(1) as callers:
        promoting = callers.submit(requests.post, f"{url}/promote", json=wish, headers=bearer, timeout=60)
        try:
            eventually(lambda: site.host is not None and ("model", "1.1.0") in site.host.pool.loading())
            (begun,) = site.audit(begun=True)  # all that there would be
            assert (begun["what"], begun["result"], begun["status"]) == ("promote", "begun", None)
            assert (begun["who"], begun["target"], begun["why"]) == ("operator-of-tests", BOTH, "better")
        finally:
            gate.set()
        assert promoting.result(60).status_code == 200
    site.ask("POST", "/v2/repository/models/model/load?version=9.0.0", {}, role=Role.OPERATOR)
    site.ask("POST", "/rollback", {"reason": "worse"}, role=Role.OPERATOR)
    trail = site.audit(begun=True)
    acts = [[(line["what"], line["result"]) for line in pair] for pair in zip(trail[::2], trail[1::2], strict=True)]
    ends = [("promote", "done"), ("load", "refused"), ("rollback", "done")]
    assert acts == [[(what, "begun"), (what, result)] for what, result in ends]
    assert [first["id"] == last["id"] for first, last in zip(trail[::2], trail[1::2], strict=True)] == [True] * 3
    assert len({line["id"] for line in trail}) == 3
    assert trail[0] == begun, "nothing that was written is changed"


def test_many_who_wait_for_a_load_keep_nobody_from_health_a_token_or_a_rollback(site: Site) -> None:
    site.pair("1.0.0", "1.1.0", "1.2.0")
    host = site.start(CONFIGURATION.replace("{}", "{default: 1.0.0}"))
    site.ask("POST", "/promote", {"versions": BOTH, "reason": "better"}, role=Role.OPERATOR)
    gate = site.service.loader.gate("model 1.2.0")
    url = f"http://127.0.0.1:{site.port}/v2/repository/models/model/load?version=1.2.0"
    bearer = {"Authorization": f"Bearer {site.tokens[Role.OPERATOR]}"}
    with ThreadPoolExecutor(20) as callers:
        loads = [callers.submit(requests.post, url, json={}, headers=bearer, timeout=60) for _ in range(20)]
        try:
            eventually(lambda: host.pool.loading() == [("model", "1.2.0")])
            eventually(lambda: len(host.pool._books.flights["model", "1.2.0"].waiters) >= 8)
            for path in ("/v2/health/ready", "/metrics", "/status", "/v2/repository/index"):
                method = "POST" if path.endswith("index") else "GET"
                assert site.ask(method, path, role=Role.VIEWER).status_code == 200
            assert site.ask("POST", "/rollback", {"reason": "bad"}, role=Role.OPERATOR).json()["versions"] == BACK
            assert not any(load.done() for load in loads)
        finally:
            gate.set()
        assert {load.result(60).status_code for load in loads} == {200}


def test_a_reload_and_the_status_warn_of_a_version_that_is_not_there(site: Site) -> None:
    site.pair("1.1.0")
    site.start()
    rule = "{name: short, when: text_length < 3, version: 7.0.0}"
    site.service.write(CONFIGURATION + f"routing: {{translation: {{rules: [{rule}]}}}}\n")
    said = "routing.translation.rules[0].version names model 7.0.0, which is not in the registry; there is 1.1.0"
    taken = site.ask("POST", "/configuration/reload", {}, role=Role.ADMIN)
    assert (taken.status_code, taken.json()["warnings"]) == (200, [said])
    status = site.ask("GET", "/status", role=Role.VIEWER).json()
    assert status["configuration"] == {"generation": 2, "last_error": "", "warnings": [said]}
