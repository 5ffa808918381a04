"""A member of a cluster behind HTTP: operators' switches reach all members, and readiness is what the follower says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from modelhost.cluster.coordinator import Coordinator
from modelhost.cluster.follower import Follower
from modelhost.cluster.place import place_at
from modelhost.cluster.timings import Timings
from modelhost.host.host import ModelHost
from modelhost.http.replicas import ClusterControl
from modelhost.http.roles import Role
from tests.modelhost.host.service import words
from tests.modelhost.http.site import CONFIGURATION, Site
from tests.modelhost.serving.workshop import eventually

TIMINGS = Timings(ttl=5.0, beat=0.1, poll=0.02, patience=30.0, retry=0.1)
OLD = {"model": "1.0.0", "tokenizer": "1.0.0"}
NEW = {"model": "1.1.0", "tokenizer": "1.1.0"}


@dataclass
class Cluster:
    """The member behind HTTP, another one, and what ties them."""

    site: Site
    coordinator: Coordinator
    other: ModelHost
    followers: list[Follower]


@pytest.fixture
def cluster(site: Site) -> Iterator[Cluster]:
    site.pair("1.0.0", "1.1.0")
    place = place_at(site.service.shop.root, "translation")
    coordinator = Coordinator(place, site.service.shop.registry, TIMINGS)
    followers: list[Follower] = []

    def follow(host: ModelHost, name: str) -> Follower:
        followers.append(Follower(host.serving, place, TIMINGS, name=name, fallbacks=host.fallbacks))
        return followers[-1]

    def control(host: ModelHost) -> ClusterControl:
        return ClusterControl(host, coordinator, follow(host, "first"), patience=30.0)

    site.start(CONFIGURATION, control=control, opened={"start": False})
    other = site.service.open(None, start=False, state=site.path / "other")
    follow(other, "second")
    for each in followers:
        each.start()
    yield Cluster(site, coordinator, other, followers)
    for each in followers:
        each.close()


def _say(site: Site) -> Any:
    return site.ask("GET", "/say/x").json()["model"]


def test_nothing_is_ready_before_a_set_is_committed(cluster: Cluster) -> None:
    answer = cluster.site.ask("GET", "/v2/health/ready")
    assert answer.status_code == 503
    assert "nothing was committed" in answer.json()["error"]
    assert cluster.site.ask("GET", "/v2/health/live").status_code == 200
    assert cluster.site.ask("GET", "/say/x").status_code == 503


def test_a_promotion_and_a_rollback_reach_all_members(cluster: Cluster) -> None:
    site = cluster.site
    cluster.coordinator.found(OLD, who="ann", why="first")
    eventually(lambda: site.ask("GET", "/v2/health/ready").status_code == 200)
    eventually(lambda: cluster.followers[1].ready().ready)
    promoted = site.ask("POST", "/promote", {"versions": NEW, "reason": "better"}, role=Role.OPERATOR)
    assert promoted.status_code == 200, promoted.text
    said = promoted.json()
    assert (said["versions"], said["who"], said["behind"]) == (NEW, "operator-of-tests", [])
    assert _say(site) == words(cluster.other)["model"] == "model 1.1.0"
    assert site.ask("GET", "/say/x").headers["X-Model-Generation"] == str(said["generation"])
    back = site.ask("POST", "/rollback/translation", {"reason": "worse"}, role=Role.OPERATOR)
    assert back.json()["versions"] == OLD, back.text
    assert _say(site) == words(cluster.other)["model"] == "model 1.0.0"
    status = site.ask("GET", "/status", role=Role.VIEWER).json()
    assert (status["ready"], status["behind"]) == (True, [])
    assert [each["what"] for each in site.audit()] == ["promote", "rollback"]
