"""What a cluster serves is marked rejected by somebody: one message in all, whoever dies, and nothing switches."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from modelhost.cluster.membership import Membership
from modelhost.cluster.place import place_at
from modelhost.registry.base import Status
from modelhost.registry.directory import DirectoryRegistry, utc_now
from modelhost.serving.events import Event
from tests.modelhost.cluster.test_telling import NEW, OLD, PATIENT, Team
from tests.modelhost.serving.workshop import eventually


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    team = Team(tmp_path)
    try:
        yield team
    finally:
        team.end()


def reject(team: Team, version: str, why: str = "it insults people") -> None:
    team.shop.registry.mark("model", version, Status.REJECTED, "eve", why)


def alerts(team: Team) -> list[str]:
    return [title for title in team.titles if "rejected" in title]


def marks(team: Team) -> list[bytes | None]:
    place = place_at(team.shop.root, "translation")
    return [place.read(f"rejected/{name}") for name in place.names("rejected")]


def looked(members: list[Membership], times: int = 2) -> None:
    """Each of them has looked at the marks so often, and has told what there was to tell."""
    for member in members * times:
        member.host._look_around()
        member._look_after()
        assert member.host.serving.events.flush(60)


def until_told(team: Team, times: int) -> None:
    """So many rejections were told, be it by a look that a member took by itself, and nobody has more to tell."""

    def is_told() -> bool:
        looked(team.members, 1)
        return marks(team) == [b'{"told": true}\n'] * times

    eventually(is_told)
    looked(team.members)


def test_it_is_one_message_of_the_cluster_and_again_when_the_mark_was_another(team: Team) -> None:
    team.pair("1.0.0", "1.1.0")
    for name in ("anna", "bert", "carl"):
        team.join(name, ttl=PATIENT)
    heard: list[Event] = []
    for member in team.members:
        member.host.serving.subscribe(heard.append)
    team.until_told(1)
    reject(team, "1.1.0")
    until_told(team, 1)
    assert alerts(team) == ["translation: ALERT: model 1.1.0 was rejected, and serves (eve)"]
    message = next(each for each in team.messages if "rejected" in each["title"])
    assert message["type"] == "failure" and message["message"].startswith("it insults people\n")
    assert "POST /rollback/model" in message["message"]
    assert [event.alert for event in heard] == [True], "and one in the counts of all members"
    assert {member.follower.generation for member in team.members} == {1}, "nobody switched"
    team.shop.registry.mark("model", "1.1.0", Status.STABLE, "ann", "it does not")
    reject(team, "1.1.0", "it does")
    until_told(team, 2)
    assert len(alerts(team)) == 2 and "it does\n" in team.messages[-1]["message"]


def test_a_rollback_of_the_cluster_is_none(team: Team) -> None:
    team.pair("1.0.0", "1.1.0")
    anna, bert = team.join("anna", ttl=PATIENT), team.join("bert", ttl=PATIENT)
    anna.coordinator.promote(OLD, who="ann", why="older")
    anna.coordinator.promote(NEW, who="ann", why="better")
    bert.coordinator.rollback(who="bob", reason="worse")
    looked(team.members)
    assert alerts(team) == [] and marks(team) == []


def test_who_claimed_it_and_died_before_telling_is_stood_in_for(team: Team) -> None:
    team.pair("1.0.0", "1.1.0")
    team.join("anna")
    team.until_told(1)
    at = utc_now() + timedelta(microseconds=1)
    place = place_at(team.shop.root, "translation")
    place.create(f"rejected/{at:%Y%m%dT%H%M%S.%f}-model-1.1.0.json", b'{"told": false}\n')
    DirectoryRegistry(team.shop.root, lambda: at).mark("model", "1.1.0", Status.REJECTED, "eve", "it insults people")
    eventually(lambda: marks(team) == [b'{"told": true}\n'])
    assert len(alerts(team)) == 1
