"""A member of a cluster behind HTTP: operators' switches reach all members, and readiness is what the follower says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from modelhost.cluster.members import Beat, Members, State
from modelhost.cluster.membership import Membership
from modelhost.cluster.place import place_at
from modelhost.cluster.timings import Timings
from modelhost.host.host import ModelHost
from modelhost.http.replicas import ClusterControl
from modelhost.http.roles import Role
from modelhost.registry.base import Status
from modelhost.serving.events import Event
from tests.modelhost.host.service import words
from tests.modelhost.http.site import CONFIGURATION, INTERFACE, Site
from tests.modelhost.serving.workshop import eventually

# A ttl so long that a thread which a busy machine keeps for some seconds is not taken for dead.
TIMINGS = Timings(ttl=10.0, beat=0.1, poll=0.02, patience=120.0, retry=0.1)
OLD = {"model": "1.0.0", "tokenizer": "1.0.0"}
NEW = {"model": "1.1.0", "tokenizer": "1.1.0"}


@dataclass
class Cluster:
    """The member behind HTTP, another one, and what ties them."""

    site: Site
    other: ModelHost
    members: list[Membership]


@pytest.fixture
def cluster(site: Site) -> Iterator[Cluster]:
    site.pair("1.0.0", "1.1.0")
    place = place_at(site.service.shop.root, "translation")
    members: list[Membership] = []

    def member(host: ModelHost, name: str) -> Membership:
        members.append(Membership(host, place, TIMINGS, name=name))
        return members[-1]

    def control(host: ModelHost) -> ClusterControl:
        return ClusterControl(member(host, "first"), patience=120.0)

    site.start(CONFIGURATION, control=control, opened={"start": False})
    other = site.service.open(None, start=False, state=site.path / "other")
    member(other, "second")
    for each in members:
        each.follower.start()
        each.lookout.start()
    yield Cluster(site, other, members)
    for each in members:
        each.close()


def _say(site: Site) -> Any:
    return site.ask("GET", "/say/x").json()["model"]


def _found(cluster: Cluster) -> None:
    cluster.members[0].coordinator.found(OLD, who="ann", why="first")
    eventually(lambda: cluster.site.ask("GET", "/v2/health/ready").status_code == 200)
    eventually(lambda: cluster.members[1].follower.ready().ready)


def _figures(site: Site) -> dict[str, float]:
    lines = site.ask("GET", "/metrics").text.splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def test_nothing_is_ready_before_a_set_is_committed(cluster: Cluster) -> None:
    answer = cluster.site.ask("GET", "/v2/health/ready")
    assert answer.status_code == 503
    assert "nothing was committed" in answer.json()["error"]
    assert cluster.site.ask("GET", "/v2/health/live").status_code == 200
    assert cluster.site.ask("GET", "/say/x").status_code == 503


def test_promoting_a_set_brings_its_mates_to_all_members(cluster: Cluster) -> None:
    _found(cluster)
    wish = {"version": "1.1.0", "reason": "better"}
    promoted = cluster.site.ask("POST", "/promote/translation", wish, role=Role.OPERATOR)
    assert (promoted.status_code, promoted.json()["versions"]) == (200, NEW), promoted.text
    assert words(cluster.other)["tokenizer"] == "tokenizer 1.1.0"


def test_a_promotion_and_a_rollback_reach_all_members(cluster: Cluster) -> None:
    site = cluster.site
    _found(cluster)
    promoted = site.ask("POST", "/promote", {"versions": NEW, "reason": "better"}, role=Role.OPERATOR)
    assert promoted.status_code == 200, promoted.text
    said = promoted.json()
    assert (said["versions"], said["who"], said["behind"]) == (NEW, "operator-of-tests", [])
    assert _say(site) == words(cluster.other)["model"] == "model 1.1.0"
    assert site.ask("GET", "/say/x").headers["X-Model-Generation"] == str(said["generation"])
    back = site.ask("POST", "/rollback/translation", {"reason": "worse"}, role=Role.OPERATOR)
    assert (back.json()["versions"], back.json()["before"]) == (OLD, NEW), back.text
    assert _say(site) == "model 1.0.0"
    eventually(lambda: words(cluster.other)["model"] == "model 1.0.0")
    eventually(lambda: not site.ask("GET", "/status", role=Role.VIEWER).json()["behind"])
    status = site.ask("GET", "/status", role=Role.VIEWER).json()
    assert (status["ready"], status["behind"]) == (True, [])
    assert [each["what"] for each in site.audit()] == ["promote", "rollback"]


def test_a_rollback_to_what_a_host_alone_would_refuse_is_refused_before_it_is_committed(cluster: Cluster) -> None:
    site = cluster.site
    _found(cluster)
    shop = site.service.shop
    mate = {"tokenizer": shop.registry.find("tokenizer", "1.0.0").info.digest}
    foreign = {"python": "2.7", "packages": {}}
    shop.publish("model", "0.9.0", mates=mate, interface=INTERFACE, environment=foreign)
    before = site.ask("GET", "/status", role=Role.VIEWER).json()["cluster"]["generation"]
    for version, kind, words_of_it in (
        ("0.9.0", "EnvironmentMismatch", "python 2.7"),
        ("1.1.0", "Refused", "is newer than 1.0.0 and never served here"),
    ):
        wish = {"to_version": version, "together": True, "reason": "worse"}
        refused = site.ask("POST", "/rollback/model", wish, role=Role.OPERATOR)
        assert (refused.status_code, refused.json()["kind"]) == (422, kind), refused.text
        assert words_of_it in refused.json()["error"]
    assert site.ask("GET", "/v2/health/ready").status_code == 200
    assert site.ask("GET", "/status", role=Role.VIEWER).json()["cluster"]["generation"] == before
    assert shop.registry.find("model", "1.0.0").status is Status.STABLE


def test_promoting_what_serves_already_changes_nothing_and_says_so_to_who_asked(cluster: Cluster) -> None:
    site, member = cluster.site, cluster.members[0]
    _found(cluster)
    told: list[Event] = []
    member.host.serving.subscribe(told.append)
    switched = site.ask("POST", "/promote", {"versions": NEW, "reason": "better"}, role=Role.OPERATOR).json()
    assert (switched["outcome"], switched["before"], switched["after"]) == ("switched", OLD, NEW)
    member.host.serving.events.flush(60)
    before, revision = len(told), member.follower.status().revision
    again = site.ask("POST", "/promote", {"versions": NEW, "reason": "once more"}, role=Role.ADMIN).json()
    assert (again["outcome"], again["before"], again["changed"], again["generation"]) == ("unchanged", NEW, {}, 2)
    assert (again["who"], again["why"]) == ("admin-of-tests", "once more")
    assert again.keys() == switched.keys()
    member.host.serving.events.flush(60)
    assert (len(told), member.coordinator.report().generation) == (before, 2)
    assert member.follower.status().revision == revision


def test_a_rollback_is_answered_when_this_member_has_gone_back_and_names_who_has_not(cluster: Cluster) -> None:
    """A member that was killed a moment ago may live, as far as anybody knows, for a ttl."""
    site, member = cluster.site, cluster.members[0]
    _found(cluster)
    assert site.ask("POST", "/promote", {"versions": NEW, "reason": "better"}, role=Role.OPERATOR).status_code == 200
    place = place_at(site.service.shop.root, "translation")
    killed = Beat(key="killed-1", name="killed", state=State.SERVING, generation=2, serves=2, versions=NEW, ready=True)
    Members(place, TIMINGS.ttl, time.monotonic).beat(killed)
    back = site.ask("POST", "/rollback/translation", {"reason": "worse"}, role=Role.OPERATOR).json()
    assert (back["outcome"], back["versions"]) == ("switched", OLD)
    assert _say(site) == "model 1.0.0"
    assert "killed" in back["behind"] and member.follower.name not in back["behind"]


def test_what_was_rejected_is_refused_by_its_name_before_any_member_is_asked_to_load_it(cluster: Cluster) -> None:
    site = cluster.site
    _found(cluster)
    host = cluster.members[0].host
    host.registry.mark("model", "1.1.0", Status.REJECTED, "ann", "bad")
    revision = cluster.members[0].follower.status().revision
    answer = site.ask("POST", "/v2/repository/models/model/load?version=1.1.0", {}, role=Role.OPERATOR)
    assert answer.status_code == 422 and answer.json()["error"].startswith("model 1.1.0 is rejected")
    assert cluster.members[0].coordinator.report().held == ()
    assert cluster.members[0].follower.status().revision == revision


def test_the_log_of_the_member_that_was_asked_has_one_line_for_each_switch_of_the_cluster_and_each_refusal(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    site = cluster.site
    _found(cluster)
    with caplog.at_level("INFO", "modelhost"):
        for versions in ({"model": "9.0.0"}, NEW):
            site.ask("POST", "/promote", {"versions": versions, "reason": "better"}, role=Role.OPERATOR)
        site.ask("POST", "/rollback/model", {"to_version": "9.0.0", "reason": "worse"}, role=Role.OPERATOR)
        site.ask("POST", "/rollback", {"reason": "worse"}, role=Role.OPERATOR)
        for member in cluster.members:
            eventually(lambda m=member: m.follower.arrives(3, 60))  # type: ignore[misc]
    whole = [each.getMessage() for each in caplog.records if each.getMessage().startswith("the cluster: ")]
    assert [line.partition(" (")[0].partition(": ")[2].partition(":")[0] for line in whole] == ["swap", "rollback"]
    here = [each.getMessage() for each in caplog.records if each.getMessage().startswith("here: ")]
    assert len(here) == 4, "each of two members follows twice"
    refused = [(each.levelname, each.getMessage()) for each in caplog.records if "did not happen" in each.getMessage()]
    assert [level for level, _ in refused] == ["WARNING"] * 2
    assert refused[0][1].startswith("promotion of model 9.0.0 did not happen (operator-of-tests): no version 9.0.0")
    assert refused[1][1].startswith("rollback of model did not happen (operator-of-tests): ")


def test_an_expected_generation_that_is_not_committed_any_more_stops_the_switch(cluster: Cluster) -> None:
    site = cluster.site
    _found(cluster)
    seen = site.ask("GET", "/status", role=Role.VIEWER).json()["cluster"]["generation"]
    wish = {"versions": NEW, "reason": "better", "expected_generation": seen}
    assert site.ask("POST", "/promote", wish, role=Role.OPERATOR).status_code == 200
    for path, late in (
        ("/promote", {**wish, "versions": OLD}),
        ("/rollback", {"reason": "x", "expected_generation": 1}),
    ):
        refused = site.ask("POST", path, late, role=Role.OPERATOR)
        said = refused.json()
        assert (refused.status_code, said["kind"]) == (409, "Superseded"), said
        assert (said["generation"], said["versions"]) == (2, NEW)
    assert _say(site) == "model 1.1.0"
    back = {"reason": "worse", "expected_generation": 2, "to_generation": 1}
    gone = site.ask("POST", "/rollback", back, role=Role.OPERATOR)
    assert (gone.status_code, gone.json()["versions"]) == (200, OLD), gone.text


def test_metrics_count_members_and_switches_that_came_to_nothing(cluster: Cluster) -> None:
    site = cluster.site
    assert _figures(site)["modelhost_ready"] == 0
    _found(cluster)
    eventually(lambda: _figures(site).get("modelhost_cluster_members_ready") == 2)
    assert _figures(site)["modelhost_ready"] == 1
    cluster.site.service.loader.failing["model 1.1.0"] = MemoryError("no device is free")
    wish = {"versions": NEW, "reason": "better"}
    failed = site.ask("POST", "/promote", wish, role=Role.OPERATOR)
    assert failed.status_code == 500, failed.text
    eventually(lambda: _figures(site)["modelhost_cluster_switches_aborted_total"] == 1)
    cluster.members[1].follower.close()
    eventually(lambda: _figures(site)["modelhost_cluster_members"] == 1)
    found = _figures(site)
    assert found["modelhost_cluster_committed_generation"] == found["modelhost_cluster_served_generation"] == 1
    assert found["modelhost_cluster_members_behind"] == 0


def test_a_rollback_that_finds_nothing_stable_is_an_alert_where_it_was_asked_for(cluster: Cluster) -> None:
    site = cluster.site
    heard: list[Event] = []
    assert site.host is not None
    site.host.serving.subscribe(heard.append)
    _found(cluster)
    promoted = site.ask("POST", "/promote", {"versions": NEW, "reason": "better"}, role=Role.OPERATOR)
    assert promoted.status_code == 200, promoted.text
    assert site.ask("POST", "/rollback", {"reason": "worse"}, role=Role.OPERATOR).status_code == 200
    assert _figures(site)["modelhost_alerts_total"] == 0
    refused = site.ask("POST", "/rollback", {"reason": "worse still"}, role=Role.OPERATOR)
    assert refused.json()["kind"] == "NothingStable"
    eventually(lambda: _figures(site)["modelhost_alerts_total"] == 1)
    eventually(lambda: any(event.alert for event in heard))
    alert = next(event for event in heard if event.alert)
    assert alert.title.startswith("ALERT: rollback refused: ") and "(operator-of-tests)" in alert.title
    assert "worse still" in alert.body and "no fallback is declared" in alert.body
    eventually(lambda: words(cluster.other)["model"] == "model 1.0.0")


def test_without_the_registry_status_and_metrics_still_answer(cluster: Cluster) -> None:
    site = cluster.site
    _found(cluster)
    eventually(lambda: _figures(site).get("modelhost_cluster_members_ready") == 2)
    root = site.service.shop.root
    root.rename(site.path / "away")
    try:
        status = site.ask("GET", "/status", role=Role.VIEWER)
        assert status.status_code == 200, status.text
        told = status.json()["cluster"]
        assert "cannot be used" in told["away"]
        assert (told["versions"], status.json()["ready"]) == (OLD, True)
        eventually(lambda: _figures(site)["modelhost_cluster_registry_reached"] == 0)
        assert _figures(site)["modelhost_ready"] == 1
    finally:
        (site.path / "away").rename(root)
    eventually(lambda: _figures(site)["modelhost_cluster_registry_reached"] == 1)
