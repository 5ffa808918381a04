"""Who is told of what a cluster does: one message for a switch, whoever dies, and a name in each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from modelhost.cluster.desired import Desired, DesiredLog
from modelhost.cluster.membership import Membership
from modelhost.cluster.place import place_at
from modelhost.cluster.telling import untold
from modelhost.registry.directory import utc_now
from modelhost.serving.events import Event
from tests.modelhost.host.service import Service
from tests.modelhost.serving.workshop import TextLoader, eventually
from tests.support.hook import hook

MEMBER = """registry: {root: models}
components: {model: {}, tokenizer: {}}
sets: {translation: [model, tokenizer]}
memory: {budget: 10MB}
notify: ["ADDRESS"]
cluster: {group: translation, heartbeat: 0.1s, poll: 0.02s, retry: 0.3s, ttl: 6s}
"""
PATIENT = "ttl: 600s}"  # nobody takes a member that is slow to tell for a dead one
OLD, NEW = ({"model": number, "tokenizer": number} for number in ("1.0.0", "1.1.0"))


class Team(Service):
    """Members on one registry, and the place where their notifications arrive."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.members: list[Membership] = []
        self._open = ExitStack()
        self.address, self.messages = self._open.enter_context(hook())

    @property
    def log(self) -> DesiredLog:
        return DesiredLog(place_at(self.shop.root, "translation"))

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.messages]

    def join(self, name: str, more: str = "", ttl: str = "ttl: 6s}", **settings: object) -> Membership:
        text = MEMBER.replace("ADDRESS", self.address).replace("group:", f"member: {name}, group:")
        host = self.open(text.replace("ttl: 6s}", ttl) + more, start=False, state=self.path / name, **settings)
        member = Membership.of(host)
        self.members.append(member)
        member.start()
        eventually(lambda: member.follower.ready().ready)
        return member

    def until_told(self, *generations: int) -> None:
        """Each member looks as it does every quarter of a ttl, and nobody waits for its turn."""
        place = place_at(self.shop.root, "translation")

        def is_told() -> bool:
            for member in self.members:
                member._look_after()
            return {int(name.split(".")[0]) for name in place.names("told")} == set(generations)

        eventually(is_told)

    def end(self) -> None:
        for member in self.members:
            member.close()
        super().end()
        self._open.close()


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    team = Team(tmp_path)
    try:
        yield team
    finally:
        team.end()


def test_a_switch_of_a_cluster_is_one_message_and_names_the_service(team: Team) -> None:
    team.pair("1.0.0", "1.1.0")
    anna, bert, _ = (team.join(name, ttl=PATIENT) for name in ("anna", "bert", "carl"))
    heard: list[Event] = []
    bert.host.serving.subscribe(heard.append)
    anna.coordinator.promote(OLD, who="ann", why="older")
    team.until_told(1, 2)
    bert.coordinator.promote(NEW, who="ann", why="better")
    eventually(lambda: bert.follower.generation == 3)
    bert.coordinator.rollback(who="bob", reason="worse")
    team.until_told(1, 2, 3, 4)
    for member in team.members:
        eventually(lambda m=member: m.follower.generation == 4)  # type: ignore[misc]
        assert member.host.serving.events.flush(60)
    moved = "model 1.1.0 → 1.0.0, tokenizer 1.1.0 → 1.0.0"
    assert team.titles == [
        "translation: start: model nothing → 1.1.0, tokenizer nothing → 1.1.0 (start-up)",
        f"translation: swap: {moved} (ann)",
        "translation: swap: model 1.0.0 → 1.1.0, tokenizer 1.0.0 → 1.1.0 (ann)",
        f"translation: rollback: {moved} (bob)",
    ]
    assert team.messages[-1]["message"].startswith("worse\nrejected: model 1.1.0\nrejected: tokenizer 1.1.0")
    assert [event.record.generation for event in heard] == [2, 3, 4], "its own part of each, and no more"


def test_a_name_in_the_configuration_goes_before_the_group(team: Team) -> None:
    team.pair("1.0.0")
    team.join("anna", "name: Shop\n")
    team.until_told(1)
    assert team.titles[0].startswith("Shop: start: ")


def test_a_commit_whose_process_died_before_it_told_is_told_once_by_another(team: Team) -> None:
    team.pair("1.0.0", "1.1.0")
    for name in ("anna", "bert", "carl"):
        team.join(name)
    team.until_told(1)
    log = team.log
    log.write(log.read().go_back(OLD, NEW, "bob", "worse", utc_now()))
    team.until_told(1, 2)
    assert [title for title in team.titles if "rollback" in title] == [
        "translation: rollback: model 1.1.0 → 1.0.0, tokenizer 1.1.0 → 1.0.0 (bob)"
    ]
    assert "did not tell" in team.messages[-1]["message"]


def test_a_cluster_that_was_stopped_right_after_a_commit_tells_of_it_at_its_next_start(team: Team) -> None:
    team.pair("1.0.0", "1.1.0")
    anna = team.join("anna")
    team.until_told(1)
    anna.close()
    anna.host.close(5.0)
    log = team.log
    log.write(log.read().go_back(OLD, NEW, "bob", "worse", utc_now()))
    team.join("anna")
    team.until_told(1, 2)
    assert "(bob)" in team.titles[-1]


def test_a_member_that_cannot_load_what_is_committed_is_named(team: Team) -> None:
    team.pair("1.0.0", "1.1.0")
    team.join("anna")
    broken = TextLoader()
    bert = team.join("bert", loaders={"safetensors": broken})
    broken.failing["model 1.0.0"] = MemoryError("no device is free")
    log = team.log
    log.write(log.read().go_back(OLD, NEW, "bob", "worse", utc_now()))
    eventually(lambda: any("member bert" in title for title in team.titles))
    alert = next(message for message in team.messages if "member bert" in message["title"])
    assert alert["title"].startswith("translation, member bert: ALERT: rollback failed: model 1.1.0 → 1.0.0")
    assert "no device is free" in alert["message"] and alert["type"] == "failure"
    del broken.failing["model 1.0.0"]
    eventually(lambda: bert.follower.ready().ready)
    assert sum("member bert" in title for title in team.titles) == 1


def test_a_member_that_starts_without_the_registry_is_named(team: Team) -> None:
    team.pair("1.0.0")
    shared, away = team.path / "shared", team.path / "away"
    shared.mkdir()
    more = ", place: shared}\n"
    text = MEMBER.replace("ttl: 6s}\n", "ttl: 6s" + more)
    host = team.open(text.replace("ADDRESS", team.address).replace("group:", "member: anna, group:"), start=False)
    first = Membership.of(host)
    first.start()
    eventually(lambda: first.follower.ready().ready)
    first.close()
    host.close(5.0)
    shared.rename(away)
    again = Membership.of(team.open(start=False))
    team.members.append(again)
    again.start()
    eventually(lambda: any("member anna: ALERT: start begun" in title for title in team.titles))
    away.rename(shared)


def test_what_is_untold_is_what_was_committed_after_the_first_mark_and_has_none() -> None:
    state = Desired().found(OLD, "ann", "first", utc_now())
    for number in range(4):
        state = state.go_back(OLD, {}, "bob", f"{number}", utc_now())

    def missing(*marked: int) -> list[tuple[int, int]]:
        return [(before.generation if before else 0, goal.generation) for before, goal in untold(state, set(marked))]

    assert missing() == [(4, 5)]
    assert missing(5) == []
    assert missing(2, 4) == [(2, 3), (4, 5)]
    assert missing(1, 2, 3, 4, 5) == []
    assert list(untold(Desired(), set())) == []
