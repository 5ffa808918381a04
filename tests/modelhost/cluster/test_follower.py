"""A member, on a registry that comes and goes, and with a disk of its own."""

from __future__ import annotations

import uuid
from pathlib import Path

from modelhost.cluster.coordinator import Coordinator
from modelhost.cluster.place import place_at
from modelhost.registry.remote import RemoteRegistry
from modelhost.serving.history import Kind
from tests.modelhost.cluster.crew import TIMINGS, Crew
from tests.modelhost.serving.workshop import TextLoader, answer


def test_a_start_without_the_registry_serves_what_was_committed_last_from_the_cache(crew: Crew) -> None:
    crew.shop.publish("model", "1.0.0", "2.0.0")
    root: Path = crew.shop.root
    remote = RemoteRegistry(root.as_uri(), crew.path / "cache")
    anna = crew.hire("anna", registry=remote)
    crew.promote(model="1.0.0")
    crew.until_served(1)
    crew.dismiss(anna)
    root.rename(crew.path / "away")
    anna = crew.hire("anna", registry=RemoteRegistry(root.as_uri(), crew.path / "cache"))
    crew.until_served(1)
    readiness = anna.follower.ready()
    assert readiness.ready and "cannot be used" in readiness.away
    assert answer(anna.serving) == {"model": "model 1.0.0"}
    (crew.path / "away").rename(root)
    crew.until(lambda: not anna.follower.ready().away)
    assert crew.promote(model="2.0.0") == 2
    crew.until_served(2)


def test_a_start_at_the_generation_that_served_before_serves_it_under_the_same_number(crew: Crew) -> None:
    crew.shop.publish("model", "1.0.0")
    anna = crew.hire("anna")
    crew.promote(model="1.0.0")
    crew.until_served(1)
    crew.dismiss(anna)
    anna = crew.hire("anna")
    crew.until_served(1)
    crew.until(lambda: [each.kind for each in anna.serving.history.switches()] == [Kind.START, Kind.START])


def test_an_old_copy_of_the_registry_takes_nobody_back(crew: Crew) -> None:
    crew.shop.publish("model", "1.0.0", "2.0.0")
    anna = crew.hire("anna")
    crew.promote(model="1.0.0")
    crew.promote(model="2.0.0")
    crew.until_served(2)
    names = crew.place.names("desired")
    kept = {name: crew.place.read(f"desired/{name}") for name in names[-2:]}
    for name in kept:
        crew.place.remove(f"desired/{name}")
    crew.until(lambda: "has seen" in anna.follower.ready().away)
    assert anna.follower.ready().ready and anna.versions == {"model": "2.0.0"}
    for name, content in kept.items():
        assert content is not None
        crew.place.put(f"desired/{name}", content)
    crew.until(lambda: not anna.follower.ready().away)
    assert len(anna.serving.history.switches()) == 2, "it has not gone to and fro"


def test_a_set_that_cannot_be_loaded_after_a_return_is_tried_again_and_again(crew: Crew) -> None:
    crew.shop.publish("model", "1.0.0")
    anna = crew.hire("anna")
    crew.promote(model="1.0.0")
    crew.dismiss(anna)
    loader = TextLoader()
    loader.failing["model 1.0.0"] = ValueError("bad answer")
    anna = crew.hire("anna", loader=loader)
    crew.until(lambda: "bad answer" in anna.follower.ready().reason)
    assert not anna.follower.ready().ready
    crew.until(lambda: crew.coordinator.report().behind == ("anna",))
    del loader.failing["model 1.0.0"]
    crew.until_served(1)


def test_what_somebody_switches_past_the_cluster_does_not_stay(crew: Crew) -> None:
    crew.shop.publish("model", "1.0.0", "2.0.0")
    anna = crew.hire("anna")
    crew.promote(model="1.0.0")
    crew.until_served(1)
    anna.serving.swap({"model": "2.0.0"}, who="eve", why="past the cluster")
    crew.until_served(1)
    assert anna.versions == {"model": "1.0.0"}


def test_who_holds_the_old_set_goes_back_without_a_load_and_without_having_been_unready(crew: Crew) -> None:
    crew.shop.publish("model", "1.0.0", "2.0.0")
    anna = crew.hire("anna")
    crew.promote(model="1.0.0")
    crew.promote(model="2.0.0")
    crew.until_served(2)
    crew.coordinator.rollback(who="bob", reason="worse")

    def is_back() -> bool:
        assert anna.follower.ready().ready
        return anna.follower.generation == 3

    crew.until(is_back)
    assert anna.loader.loads["model 1.0.0"] == 1
    crew.until(lambda: anna.loader.closes("model 2.0.0") == [1])


def test_members_follow_a_state_on_an_object_store(crew: Crew) -> None:
    crew.shop.publish("model", "1.0.0", "2.0.0")
    place = place_at(f"memory://{uuid.uuid4().hex}/models", "translator")
    anna, bert = crew.hire("anna", place=place), crew.hire("bert", place=place)
    coordinator = Coordinator(place, crew.shop.registry, TIMINGS)
    for generation, version in enumerate(("1.0.0", "2.0.0"), 1):
        coordinator.promote({"model": version}, who="ann", why="better")
        crew.until_served(generation)
    coordinator.rollback(who="bob", reason="worse")
    crew.until_served(3)
    assert anna.versions == bert.versions == {"model": "1.0.0"}
    for hand in (anna, bert):
        crew.dismiss(hand)
    assert place.names("members") == []
