"""A host whose configuration has a section `cluster`: what serves first, what a reload may do, what it remembers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelhost.cluster.desired import Desired, DesiredLog
from modelhost.cluster.membership import Membership
from modelhost.cluster.memory import Memory
from modelhost.cluster.place import place_at
from modelhost.errors import ConfigError, NothingStable, RegistryUnavailable, Unknown
from modelhost.host.host import ModelHost
from modelhost.registry.base import Status
from modelhost.registry.directory import utc_now
from modelhost.serving.fallback import FALLBACK_VERSION
from tests.modelhost.host.service import Service, words
from tests.modelhost.serving.workshop import eventually

ALONE = """registry: {root: models}
components: {model: {}, tokenizer: {}}
sets: {translation: [model, tokenizer]}
memory: {budget: 10MB}
"""
SPANS = "heartbeat: 0.1s, poll: 0.02s, ttl: 5s"
MEMBER = ALONE + "cluster: {group: translation, " + SPANS + "}\n"


class Site(Service):
    """Members on one registry, each with a state of its own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.members: list[Membership] = []

    def join(self, text: str | None = MEMBER, name: str = "first", **settings: object) -> Membership:
        host = self.open(text, start=False, state=self.path / name, **settings)
        member = Membership.of(host)
        self.members.append(member)
        member.start()
        return member

    def end(self) -> None:
        for member in self.members:
            member.close()
        super().end()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    try:
        yield site
    finally:
        site.end()


def _serves(member: Membership) -> str:
    eventually(lambda: member.follower.ready().ready)
    return words(member.host)["model"]


def test_the_first_member_says_what_serves_and_the_next_follows(site: Site) -> None:
    site.pair("1.0.0", "1.1.0")
    first = site.join(name="first")
    assert _serves(first) == "model 1.1.0"
    first.coordinator.promote({"model": "1.0.0", "tokenizer": "1.0.0"}, who="ann", why="older")
    second = site.join(name="second")
    assert _serves(second) == "model 1.0.0"
    assert {row.member for row in second.coordinator.report().members} >= {first.follower.name}


def test_a_service_that_was_alone_goes_on_with_what_served(site: Site) -> None:
    site.pair("1.0.0", "1.1.0")
    alone = site.open(ALONE, state=site.path / "first")
    alone.promote({"model": "1.0.0", "tokenizer": "1.0.0"}, who="ann", why="older")
    alone.close(5.0)
    member = site.join(name="first")
    assert _serves(member) == "model 1.0.0"
    assert member.follower.generation == 3, "numbers go on: two sets served before there was a cluster"


def test_the_name_and_the_place_are_those_of_the_file(site: Site) -> None:
    site.pair("1.0.0")
    (site.path / "shared").mkdir()
    member = site.join(MEMBER.replace("group: translation", "group: t, place: shared, member: anna"))
    assert _serves(member) == "model 1.0.0"
    assert member.follower.name == "anna"
    assert (site.path / "shared" / ".cluster" / "t" / "desired").is_dir()
    assert not (site.shop.root / ".cluster").exists()


def test_a_declared_fallback_serves_first_where_nothing_is_stable(site: Site) -> None:
    site.shop.publish("tokenizer", "1.0.0")
    site.shop.publish("model", "1.0.0", stable=False)
    member = site.join(fallbacks=[site.shop.dictionary()])
    assert _serves(member) == "model by dictionary"
    committed = member.follower.committed
    assert committed is not None and committed.versions == {"model": FALLBACK_VERSION, "tokenizer": "1.0.0"}


def test_where_nothing_can_serve_first_the_start_says_why(site: Site) -> None:
    site.shop.publish("tokenizer", "1.0.0")
    with pytest.raises((Unknown, NothingStable), match="model"):
        site.join()


def test_a_start_while_the_place_is_away_serves_what_was_committed_last(site: Site) -> None:
    site.pair("1.0.0", "1.1.0")
    shared, away = site.path / "shared", site.path / "away"
    shared.mkdir()
    elsewhere = MEMBER.replace("group: translation", "group: translation, place: shared")
    member = site.join(elsewhere, name="first")
    assert _serves(member) == "model 1.1.0"
    member.coordinator.promote({"model": "1.0.0", "tokenizer": "1.0.0"}, who="ann", why="older")
    eventually(lambda: words(member.host)["model"] == "model 1.0.0")
    member.close()
    member.host.close(5.0)
    shared.rename(away)
    again = site.join(None, name="first")
    assert _serves(again) == "model 1.0.0"
    assert "cannot be used" in again.follower.ready().away
    with pytest.raises(RegistryUnavailable):
        site.join(None, name="one that never knew")
    away.rename(shared)
    eventually(lambda: again.follower.ready().away == "")


def test_what_a_rollback_rejected_is_marked_also_where_its_coordinator_died_at_once(site: Site) -> None:
    site.pair("1.0.0", "1.1.0")
    member = site.join()
    assert _serves(member) == "model 1.1.0"
    log = DesiredLog(place_at(site.shop.root, "translation"))
    old, new = ({"model": number, "tokenizer": number} for number in ("1.0.0", "1.1.0"))
    log.write(log.read().go_back(old, new, "bob", "worse", utc_now()))
    eventually(lambda: words(member.host)["model"] == "model 1.0.0")
    for component in new:
        eventually(lambda name=component: site.shop.registry.log(name)[-1].status is Status.REJECTED)  # type: ignore[misc]
    last = site.shop.registry.log("model")[-1]
    assert (last.version, last.who, last.why) == ("1.1.0", "bob", "worse")


def test_with_a_local_cache_a_start_while_everything_is_away_serves_what_was_committed_last(site: Site) -> None:
    site.pair("1.0.0")
    away = site.path / "away"
    member = site.join(MEMBER.replace("root: models", f"url: '{site.shop.root.as_uri()}', cache: cache"))
    assert _serves(member) == "model 1.0.0"
    assert {each.version for each in member.follower.wanted()} == {"1.0.0"}
    member.close()
    member.host.close(5.0)
    site.shop.root.rename(away)
    assert _serves(site.join(None)) == "model 1.0.0"
    away.rename(site.shop.root)


def test_a_host_that_would_start_alone_is_refused(site: Site) -> None:
    site.pair("1.0.0")
    with pytest.raises(ConfigError, match="member of a cluster"):
        site.open(MEMBER)
    alone = site.open(ALONE)
    with pytest.raises(ConfigError, match="no section"):
        Membership.of(alone)


def _refusal(host: ModelHost) -> str:
    outcome = host.reload()
    assert not outcome.ok
    return outcome.error


def test_a_reload_says_what_takes_a_restart_and_what_a_promotion(site: Site) -> None:
    site.pair("1.0.0", "1.1.0")
    member = site.join()
    assert _serves(member) == "model 1.1.0"
    site.write(MEMBER.replace("group: translation", "group: another"))
    assert "cluster changed" in _refusal(member.host) and "restart" in member.host.configuration.last_error
    site.write(ALONE)
    assert "restart" in _refusal(member.host)
    site.write(MEMBER.replace("model: {},", "model: {default: 1.0.0},"))
    assert "promote it" in _refusal(member.host)
    site.write(MEMBER.replace("model: {},", "model: {ttl: 5m},"))
    assert member.host.reload().changed == ("components",)
    assert _serves(member) == "model 1.1.0"


def test_members_that_share_a_memory_never_go_back_in_it(tmp_path: Path) -> None:
    begun = Desired().found({"model": "1.0.0"}, "ann", "first", utc_now())
    later = begun.go_back({"model": "0.9.0"}, {"model": "1.0.0"}, "bob", "worse", utc_now())
    fast, slow = Memory(tmp_path / "memory.json"), Memory(tmp_path / "memory.json")
    fast.keep(later)
    slow.keep(begun)
    assert slow.recall() == later
