"""Rollbacks of a cluster: where they may go, what a target has to pass, and what is said without the registry."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from modelhost.cluster.coordinator import Coordinator
from modelhost.cluster.members import Beat, Members
from modelhost.cluster.place import DirectoryPlace
from modelhost.errors import EnvironmentMismatch, IntegrityError, NothingStable, Refused, RegistryUnavailable
from modelhost.metadata import VersionInfo
from modelhost.registry.base import Status
from modelhost.registry.directory import utc_now
from modelhost.registry.remote import RemoteRegistry
from tests.modelhost.cluster.crew import TIMINGS, Crew, Hand
from tests.modelhost.loading.published import damage

FOREIGN = {"python": "2.7", "packages": {}}


def _committed(crew: Crew, *versions: str) -> list[Hand]:
    """Two members of a cluster to which these versions of the model were committed, one after the other. They came
    when the last one was, and have no other in memory; the first of them rolls back."""
    for version in versions:
        proposed = crew.log.read().propose({"model": version}, "ann", "better", utc_now(), 30.0)
        crew.log.write(proposed)
        crew.log.write(proposed.commit(utc_now()))
    anna, bert = crew.hire("anna"), crew.hire("bert")
    crew.until_served(len(versions))
    crew.coordinator = Coordinator(crew.place, crew.shop.registry, TIMINGS, check=anna.serving.pool.check)
    return [anna, bert]


def _spoil(crew: Crew, version: str) -> None:
    damage(crew.shop.registry.find("model", version), "changed")


@pytest.mark.parametrize("component", ["model", None])
@pytest.mark.parametrize("alone", [False, True], ids=["member", "no member"])
def test_a_damaged_target_is_passed_over_and_members_stay_ready(alone: bool, component: str | None, crew: Crew) -> None:
    crew.shop.publish("model", "1.0.0", "1.1.0", "1.2.0")
    hands = _committed(crew, "1.0.0", "1.1.0", "1.2.0")
    _spoil(crew, "1.1.0")
    coordinator = Coordinator(crew.place, crew.shop.registry, TIMINGS) if alone else crew.coordinator
    went = coordinator.rollback(component, who="bob", reason="worse")
    assert went.committed.versions == {"model": "1.0.0"}
    assert any("weights.safetensors was changed" in note for note in went.notes)
    crew.until_served(4)
    assert [hand.versions for hand in hands] == [{"model": "1.0.0"}] * 2


def test_a_target_that_was_made_for_other_libraries_is_passed_over(crew: Crew) -> None:
    crew.shop.publish("model", "1.0.0", "1.2.0")
    crew.shop.publish("model", "1.1.0", environment=FOREIGN)
    _committed(crew, "1.0.0", "1.1.0", "1.2.0")
    went = crew.coordinator.rollback("model", who="bob", reason="worse")
    assert went.committed.versions == {"model": "1.0.0"}
    assert any("python 2.7" in note for note in went.notes)
    crew.until_served(4)


@pytest.mark.parametrize("how", ["damaged", "foreign"])
@pytest.mark.parametrize("together", [False, True])
def test_a_named_target_that_no_member_could_load_is_refused_and_nothing_moves(
    together: bool, how: str, crew: Crew
) -> None:
    crew.shop.publish("model", "1.0.0", "1.2.0")
    crew.shop.publish("model", "1.1.0", **({"environment": FOREIGN} if how == "foreign" else {}))
    _committed(crew, "1.0.0", "1.1.0", "1.2.0")
    if how == "damaged":
        _spoil(crew, "1.1.0")
    before, log = crew.log.read(), crew.shop.registry.log("model")
    with pytest.raises(IntegrityError if how == "damaged" else EnvironmentMismatch, match=r"1\.1\.0"):
        crew.coordinator.rollback("model", "1.1.0", who="bob", reason="worse", together=together)
    assert (crew.log.read(), crew.shop.registry.log("model")) == (before, log)


def test_where_every_target_is_damaged_what_serves_stays_and_is_not_rejected(crew: Crew) -> None:
    crew.shop.publish("model", "1.0.0", "1.1.0")
    _committed(crew, "1.0.0", "1.1.0")
    _spoil(crew, "1.0.0")
    before = crew.log.read()
    with pytest.raises(NothingStable, match="was changed"):
        crew.coordinator.rollback(who="bob", reason="worse")
    assert crew.log.read() == before
    assert crew.shop.registry.find("model", "1.1.0").status is Status.STABLE


@pytest.mark.parametrize(
    ("version", "status", "why"),
    [
        ("1.1.0", Status.UNSTABLE, r"is unstable and never served here.*: promote it"),
        ("2.1.0", Status.UNSTABLE, r"is unstable and never served here.*: promote it"),
        ("2.1.0", Status.STABLE, r"is newer than 2\.0\.0 and never served here.*: promote it"),
        ("2.1.0", Status.REJECTED, r"is rejected.*promote it"),
    ],
)
def test_a_named_version_that_is_no_way_back_is_refused_and_nothing_moves(
    version: str, status: Status, why: str, crew: Crew
) -> None:
    crew.shop.publish("model", "1.0.0", "2.0.0")
    crew.shop.publish("model", version, stable=False)
    if status is not Status.UNSTABLE:
        crew.shop.mark("model", version, status)
    _committed(crew, "1.0.0", "2.0.0")
    before, log = crew.log.read(), crew.shop.registry.log("model")
    with pytest.raises(Refused, match=why) as refused:
        crew.coordinator.rollback("model", version, who="bob", reason="worse")
    assert refused.value.status == 422
    assert (crew.log.read(), crew.shop.registry.log("model")) == (before, log)


def test_a_named_version_that_is_stable_and_older_is_a_way_back_though_it_was_never_committed(crew: Crew) -> None:
    crew.shop.publish("model", "0.9.0", "1.0.0", "2.0.0")
    _committed(crew, "1.0.0", "2.0.0")
    went = crew.coordinator.rollback("model", "v0.9.0", who="bob", reason="worse")
    assert (went.committed.versions, went.committed.rejected) == ({"model": "0.9.0"}, {"model": "2.0.0"})
    crew.until_served(3)


def test_without_the_registry_it_is_said_in_words_that_what_serves_serves_on(crew: Crew) -> None:
    crew.shop.publish("model", "1.0.0", "2.0.0")
    hands = _committed(crew, "1.0.0", "2.0.0")
    crew.shop.root.rename(crew.path / "away")
    with pytest.raises(RegistryUnavailable) as refused:
        crew.coordinator.rollback(who="bob", reason="worse")
    assert refused.value.message == (
        "nothing was rolled back, and what serves serves on: "
        f"{crew.shop.root}, where the cluster keeps its state, cannot be used: there is no such directory"
    )
    assert [hand.versions for hand in hands] == [{"model": "2.0.0"}] * 2
    (crew.path / "away").rename(crew.shop.root)
    assert crew.log.read().committed == crew.coordinator.rollback(who="bob", reason="worse").before


def test_a_place_that_does_not_answer_the_commit_leaves_it_unknown_and_that_is_said(crew: Crew) -> None:
    class Full(DirectoryPlace):
        def create(self, key: str, data: bytes) -> bool:
            raise RegistryUnavailable("the disk is full")

    crew.shop.publish("model", "1.0.0", "2.0.0")
    _committed(crew, "1.0.0", "2.0.0")
    full = Coordinator(Full(crew.shop.root, "translator"), crew.shop.registry, TIMINGS)
    with pytest.raises(RegistryUnavailable, match="whether the rollback was committed is not known: the disk is full"):
        full.rollback(who="bob", reason="worse")


class _Watched(RemoteRegistry):
    """Notes what a `find` pulls, and waits with it for `gate`."""

    def __init__(self, url: str, cache: Path) -> None:
        super().__init__(url, cache)
        self.pulled: list[str] = []
        self.gate = threading.Event()
        fetch = self.origin.fetch

        def watched(info: VersionInfo, folder: Path) -> None:
            self.pulled.append(info.version)
            assert self.gate.wait(60)
            fetch(info, folder)

        self.origin.fetch = watched  # type: ignore[method-assign]


def test_a_member_without_a_copy_goes_back_for_those_who_hold_it_before_it_pulls_one(
    crew: Crew, tmp_path: Path
) -> None:
    crew.shop.publish("model", "1.0.0", "1.1.0", "2.0.0")
    held = RemoteRegistry(crew.shop.root.as_uri(), tmp_path / "cache-anna")
    anna = crew.hire("anna", registry=held)
    for generation, version in enumerate(("1.0.0", "2.0.0"), 1):
        crew.promote(model=version)
        crew.until_served(generation)
    fresh = _Watched(crew.shop.root.as_uri(), tmp_path / "cache-bert")
    fresh.gate.set()
    bert = crew.hire("bert", registry=fresh)
    crew.until_served(2)
    assert fresh.pulled == ["2.0.0"]
    fresh.gate.clear()
    coordinator = Coordinator(crew.place, fresh, TIMINGS, check=bert.serving.pool.check)
    crew.until(lambda: all(row.living for row in coordinator.report().members))
    went = coordinator.rollback("model", who="bob", reason="worse")
    assert went.committed.versions == {"model": "1.0.0"}
    crew.until(lambda: anna.follower.generation == 3)
    assert bert.follower.generation == 2, "it has yet to pull it"
    fresh.gate.set()
    crew.until_served(3)
    assert fresh.pulled == ["2.0.0", "1.0.0"]


def test_what_a_member_had_in_memory_that_nobody_sees_live_is_looked_at_before_it_is_gone_back_to(
    crew: Crew, tmp_path: Path
) -> None:
    """Its last sign of life is there, as after an outage of all machines, and whoever looks for the first time does not
    know how old it is."""
    crew.shop.publish("model", "1.0.0", "1.1.0", "2.0.0")
    _committed(crew, "1.0.0", "1.1.0", "2.0.0")
    _spoil(crew, "1.1.0")
    Members(crew.place, TIMINGS.ttl, time.monotonic).beat(Beat(key="gone-1", name="gone", memory={"model": ["1.1.0"]}))
    fresh = RemoteRegistry(crew.shop.root.as_uri(), tmp_path / "cache")
    went = Coordinator(crew.place, fresh, TIMINGS).rollback("model", who="bob", reason="worse")
    assert went.committed.versions == {"model": "1.0.0"}


def test_what_nobody_has_in_memory_is_pulled_and_looked_at_before_it_is_gone_back_to(
    crew: Crew, tmp_path: Path
) -> None:
    crew.shop.publish("model", "1.0.0", "1.1.0", "2.0.0")
    _committed(crew, "1.0.0", "1.1.0", "2.0.0")
    _spoil(crew, "1.1.0")
    fresh = _Watched(crew.shop.root.as_uri(), tmp_path / "cache")
    fresh.gate.set()
    went = Coordinator(crew.place, fresh, TIMINGS).rollback("model", who="bob", reason="worse")
    assert went.committed.versions == {"model": "1.0.0"}
    assert set(fresh.pulled) == {"1.1.0", "1.0.0"}
    assert any("model 1.1.0" in note for note in went.notes)


def test_members_with_copies_of_their_own_go_back_while_the_registry_is_away_and_the_place_is_not(
    crew: Crew, tmp_path: Path
) -> None:
    """A remote registry, and the cluster's place elsewhere: what is known of it, and the files, lie here."""
    crew.shop.publish("model", "1.0.0", "2.0.0")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    place = DirectoryPlace(elsewhere, "translator")
    copies = [RemoteRegistry(crew.shop.root.as_uri(), tmp_path / f"cache-{name}") for name in ("anna", "bert")]
    hands = [
        crew.hire(name, registry=registry, place=place) for name, registry in zip(("anna", "bert"), copies, strict=True)
    ]
    coordinator = Coordinator(place, copies[0], TIMINGS, check=hands[0].serving.pool.check)
    for generation, version in enumerate(("1.0.0", "2.0.0"), 1):
        coordinator.promote({"model": version}, who="ann", why="better")
        crew.until_served(generation)
    crew.shop.root.rename(crew.path / "away")
    went = coordinator.rollback("model", who="bob", reason="worse")
    assert went.committed.versions == {"model": "1.0.0"}
    assert any("model 2.0.0 could not be marked as rejected" in note for note in went.notes)
    crew.until_served(3)
    assert [hand.versions for hand in hands] == [{"model": "1.0.0"}] * 2
    with pytest.raises(NothingStable):
        coordinator.rollback("model", who="bob", reason="worse still")
