"""Promotions and rollbacks as whoever asks for them sees them."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelhost.cluster.coordinator import Coordinator
from modelhost.errors import (
    Conflict,
    InvalidRequest,
    LoadFailed,
    MateMismatch,
    ModelHostError,
    NothingStable,
    Refused,
    Unavailable,
    Unknown,
)
from modelhost.registry.base import Status
from modelhost.registry.remote import RemoteRegistry
from modelhost.serving.history import Kind
from tests.modelhost.cluster.crew import TIMINGS, Crew
from tests.modelhost.registry.material import AT_EVERY_CALL, script
from tests.modelhost.serving.workshop import answer


def test_what_makes_no_sense_is_refused_before_anybody_is_asked_to_load_it(crew: Crew) -> None:
    old = crew.shop.publish("encoder", "1.0.0")
    crew.shop.publish("encoder", "2.0.0")
    crew.shop.publish("decoder", "1.0.0", mates={"encoder": old})
    crew.hire("anna")
    crew.promote(encoder="1.0.0", decoder="latest")
    crew.shop.mark("decoder", "1.0.0", Status.REJECTED)
    crew.shop.publish("decoder", "2.0.0", mates={"encoder": old})
    revision = crew.log.read().revision
    wrong: list[tuple[dict[str, str], str, type[ModelHostError]]] = [
        ({"encoder": "2.0.0", "decoder": "2.0.0"}, "better", MateMismatch),
        ({"decoder": "1.0.0"}, "better", Refused),
        ({"decoder": "9.0.0"}, "better", Unknown),
        ({"decoder": "2.0.0"}, " ", InvalidRequest),
        ({}, "better", InvalidRequest),
    ]
    for changes, why, error in wrong:
        with pytest.raises(error):
            crew.coordinator.promote(changes, who="ann", why=why)
    assert crew.log.read().revision == revision
    assert crew.promote(decoder="2.0.0") == 2
    crew.until_served(2)
    assert crew.hands[0].versions == {"encoder": "1.0.0", "decoder": "2.0.0"}, "what was not named stays"
    assert crew.promote(decoder="2.0.0") == 2, "it is committed already"


def test_what_is_refused_is_not_pulled_to_see_that(crew: Crew, tmp_path: Path) -> None:
    mate = crew.shop.publish("tokenizer", "1.0.0")
    crew.shop.publish("tokenizer", "2.0.0")
    crew.shop.publish("model", "1.0.0", "3.0.0")
    crew.shop.publish("model", "2.0.0", mates={"tokenizer": mate})
    crew.shop.mark("model", "3.0.0", Status.REJECTED)
    remote = RemoteRegistry(crew.shop.root.as_uri(), tmp_path / "cache")
    coordinator = Coordinator(crew.place, remote, TIMINGS)
    refused: list[tuple[str, type[ModelHostError]]] = [("2.0.0", MateMismatch), ("3.0.0", Refused)]
    for version, error in refused:
        with pytest.raises(error):
            coordinator.promote({"model": version, "tokenizer": "2.0.0"}, who="ann", why="better", at_least=0)
        assert not remote.has_copy("model", version)
    coordinator.promote({"model": "1.0.0", "tokenizer": "2.0.0"}, who="ann", why="better", at_least=0)
    assert remote.has_copy("model", "1.0.0")


def test_a_second_promotion_is_told_who_is_at_it(crew: Crew) -> None:
    crew.shop.publish("model", "1.0.0", "2.0.0", "3.0.0")
    anna = crew.hire("anna")
    crew.promote(model="1.0.0")
    gate = anna.loader.gate("model 2.0.0")
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(crew.promote, model="2.0.0")
        assert anna.loader.begun["model 2.0.0"].wait(30)
        with pytest.raises(Conflict, match="ann switches to generation 2"):
            crew.promote(model="3.0.0", who="bob")
        gate.set()
        assert first.result(30) == 2
    crew.until_served(2)


def test_of_two_promotions_at_once_one_at_most_is_under_way(crew: Crew) -> None:
    crew.shop.publish("model", "1.0.0", "2.0.0", "3.0.0")
    crew.hire("anna")
    crew.promote(model="1.0.0")
    start = threading.Barrier(2)

    def promote(version: str) -> int | Conflict:
        start.wait()
        try:
            return crew.promote(model=version)
        except Conflict as error:
            return error

    with ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(promote, ["2.0.0", "3.0.0"]))
    numbers = [each for each in outcomes if isinstance(each, int)]
    assert numbers and sorted(numbers) == list(range(2, 2 + len(numbers)))
    crew.until_served(numbers[-1] if len(numbers) == 1 else 3)


def test_nobody_there_is_no_success_unless_that_was_asked_for(crew: Crew) -> None:
    crew.shop.publish("model", "1.0.0")
    with pytest.raises(Unavailable, match="0 members are there, and 1 are wanted"):
        crew.promote(model="1.0.0", patience=0.1)
    went = crew.coordinator.promote({"model": "1.0.0"}, who="ann", why="for later", at_least=0)
    crew.hire("anna")
    crew.until_served(went.committed.generation)


def test_a_killed_coordinator_leaves_a_whole_state_and_the_members_let_go_of_what_they_loaded(crew: Crew) -> None:
    crew.shop.publish("model", "1.0.0", "2.0.0")
    anna = crew.hire("anna")
    crew.promote(model="1.0.0")
    crew.until_served(1)
    gate = anna.loader.gate("model 2.0.0")
    code = """
    from pathlib import Path
    from modelhost.cluster.coordinator import Coordinator
    from modelhost.cluster.place import DirectoryPlace
    from modelhost.registry.directory import DirectoryRegistry
    root = Path(sys.argv[2])
    coordinator = Coordinator(DirectoryPlace(root, "translator"), DirectoryRegistry(root))
    coordinator.promote({"model": "2.0.0"}, who="eve", why="then killed", patience=300.0)
    """
    process = script(code, crew.shop.root)
    try:
        assert anna.loader.begun["model 2.0.0"].wait(30)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()
    gate.set()
    crew.until(lambda: crew.log.read().proposal is None)
    aborted = crew.log.read().aborted
    assert aborted is not None
    assert (aborted.who, aborted.by) == ("eve", "anna") and f"{TIMINGS.ttl:g} s" in aborted.reason
    crew.until(lambda: anna.loader.closes("model 2.0.0") == [1])
    assert anna.versions == {"model": "1.0.0"} and anna.follower.ready().ready
    assert crew.promote(model="2.0.0") == 3


def test_signs_of_life_of_a_coordinator_that_was_killed_and_overtaken_do_not_stay_for_good(crew: Crew) -> None:
    crew.shop.publish("model", "1.0.0", "2.0.0")
    crew.hire("anna")
    crew.promote(model="1.0.0")
    crew.place.put("coordinators/000000000001.json", b"7")  # a rollback took its proposal away, and it was dead
    crew.place.put("coordinators/000000000003.json", b"7")
    assert crew.promote(model="2.0.0") == 2
    assert crew.place.names("coordinators") == ["000000000003.json"], "which may have begun by now"


def test_a_promotion_that_is_broken_off_is_aborted_at_once(crew: Crew) -> None:
    crew.shop.publish("model", "1.0.0", "2.0.0")
    anna = crew.hire("anna")
    crew.promote(model="1.0.0")
    gate = anna.loader.gate("model 2.0.0")

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    impatient = Coordinator(crew.place, crew.shop.registry, TIMINGS, sleep=interrupted)
    with pytest.raises(KeyboardInterrupt):
        impatient.promote({"model": "2.0.0"}, who="ann", why="better")
    aborted = crew.log.read().aborted
    assert crew.log.read().proposal is None and aborted is not None and "KeyboardInterrupt" in aborted.reason
    gate.set()


def test_a_coordinator_that_was_asleep_commits_nothing_that_was_aborted_meanwhile(crew: Crew) -> None:
    crew.shop.publish("model", "1.0.0", "2.0.0")
    anna = crew.hire("anna")
    crew.promote(model="1.0.0")
    gate = anna.loader.gate("model 2.0.0")

    def asleep(seconds: float) -> None:
        crew.until(lambda: crew.log.read().proposal is None)

    sleepy = Coordinator(crew.place, crew.shop.registry, TIMINGS, sleep=asleep)
    with pytest.raises(Conflict, match="anna: its coordinator, started by eve, has shown no life"):
        sleepy.promote({"model": "2.0.0"}, who="eve", why="better")
    gate.set()
    assert anna.versions == {"model": "1.0.0"}


def test_while_the_registry_is_away_a_promotion_is_neither_committed_without_somebody_nor_given_up(crew: Crew) -> None:
    crew.shop.publish("model", "1.0.0", "2.0.0")
    anna, bert = crew.hire("anna"), crew.hire("bert")
    crew.promote(model="1.0.0")
    crew.until_served(1)
    gate = bert.loader.gate("model 2.0.0")
    with ThreadPoolExecutor(1) as threads:
        promotion = threads.submit(crew.promote, model="2.0.0")
        crew.until(lambda: anna.follower.status().state == "loaded")
        crew.until(lambda: bert.loader.begun["model 2.0.0"].is_set())  # it has looked at the files
        crew.shop.root.rename(crew.path / "away")
        crew.until(lambda: bool(anna.follower.ready().away and bert.follower.ready().away))
        time.sleep(TIMINGS.ttl * 1.5)  # so long that each must look dead to the others
        (crew.path / "away").rename(crew.shop.root)
        observer = Coordinator(crew.place, crew.shop.registry, TIMINGS)
        crew.until(lambda: [row.living for row in observer.report().members] == [True, True])
        assert not promotion.done() and [anna.follower.generation, bert.follower.generation] == [1, 1]
        gate.set()
        assert promotion.result(30) == 2
    crew.until_served(2)


def test_repeated_rollbacks_go_further_back_and_never_to_what_was_left(crew: Crew) -> None:
    crew.shop.publish("model", "1.0.0", "2.0.0", "3.0.0")
    anna = crew.hire("anna")
    for version in ("1.0.0", "2.0.0", "3.0.0"):
        crew.promote(model=version)
    assert crew.coordinator.rollback("model", who="bob", reason="worse").committed.versions == {"model": "2.0.0"}
    assert crew.coordinator.rollback(who="bob", reason="worse still").committed.versions == {"model": "1.0.0"}
    with pytest.raises(NothingStable):
        crew.coordinator.rollback(who="bob", reason="worse than ever")
    crew.until_served(5)
    assert anna.versions == {"model": "1.0.0"}
    statuses = {entry.version: entry.status for entry in crew.shop.registry.versions("model")}
    assert statuses == {"1.0.0": Status.STABLE, "2.0.0": Status.REJECTED, "3.0.0": Status.REJECTED}
    crew.until(lambda: anna.serving.history.switches()[0].kind is Kind.ROLLBACK)
    with pytest.raises(Refused, match="rejected"):
        crew.promote(model="3.0.0")


def test_a_promotion_that_could_not_be_marked_says_so_to_who_asked(crew: Crew) -> None:
    crew.shop.publish("model", "1.0.0", stable=False)
    anna = crew.hire("anna")
    lock = crew.shop.root / "model" / ".lock"
    lock.unlink()
    lock.mkdir()  # as where the registry cannot be written, and the place can
    for _ in range(2):  # the second time it is committed already
        went = crew.coordinator.promote({"model": "1.0.0"}, who="ann", why="better")
        assert went.committed.generation == 1
        (note,) = went.notes
        assert note.startswith("model 1.0.0 serves, and could not be marked stable: ")
    crew.until_served(1)
    assert anna.versions == {"model": "1.0.0"}


def test_a_rollback_can_name_a_version_or_a_generation_and_takes_no_mate_apart(crew: Crew) -> None:
    for version in ("1.0.0", "2.0.0"):
        mate = crew.shop.publish("encoder", version)
        crew.shop.publish("decoder", version, mates={"encoder": mate})
        crew.hire(f"member-{version}")
        crew.promote(encoder=version, decoder=version)
    with pytest.raises(MateMismatch, match=r"together=True these go back as one: decoder 2\.0\.0 → 1\.0\.0, encoder"):
        crew.coordinator.rollback("decoder", who="bob", reason="worse")
    with pytest.raises(Unknown, match="these were: 1, 2"):
        crew.coordinator.rollback(to_generation=9, who="bob", reason="worse")
    with pytest.raises(Conflict, match="wanted already"):
        crew.coordinator.rollback("decoder", "v2.0.0", who="bob", reason="worse")
    with pytest.raises(InvalidRequest, match="belongs to a component"):
        crew.coordinator.rollback(to_version="1.0.0", who="bob", reason="worse")
    back = crew.coordinator.rollback("decoder", who="bob", reason="worse", together=True).committed
    assert back.versions == {"encoder": "1.0.0", "decoder": "1.0.0"}
    assert back.rejected == {"decoder": "2.0.0"}
    crew.until_served(3)
    crew.shop.mark("decoder", "2.0.0", Status.STABLE)
    assert crew.coordinator.rollback(to_generation=2, who="eve", reason="it was not").committed.versions == {
        "encoder": "2.0.0",
        "decoder": "2.0.0",
    }
    crew.until_served(4)


def test_when_nothing_stable_is_left_the_declared_fallback_serves_with_an_alert(crew: Crew) -> None:
    crew.shop.publish("encoder", "1.0.0")
    mate = crew.shop.registry.find("encoder", "1.0.0").info.digest
    crew.shop.publish("decoder", "1.0.0", "2.0.0", mates={"encoder": mate})
    anna = crew.hire("anna", fallbacks=[crew.shop.dictionary("encoder")])
    alerts: list[bool] = []
    anna.serving.subscribe(lambda event: alerts.append(event.alert))
    crew.promote(encoder="1.0.0", decoder="1.0.0")
    crew.until_served(1)
    with pytest.raises(NothingStable, match="no fallback is declared"):
        crew.coordinator.rollback("encoder", who="bob", reason="worse")
    careful = Coordinator(crew.place, crew.shop.registry, TIMINGS, fallbacks=["encoder"])
    returned = careful.rollback("encoder", who="bob", reason="worse")
    assert returned.notes == ("a fallback serves",)
    crew.until_served(2)
    assert answer(anna.serving) == {"encoder": "encoder by dictionary", "decoder": "decoder 1.0.0"}
    crew.until(lambda: alerts == [False, True])
    assert anna.serving.history.switches()[0].fallbacks == ("encoder",)
    with pytest.raises(NothingStable):
        careful.rollback("encoder", who="bob", reason="worse")
    assert crew.promote(decoder="2.0.0") == 3
    crew.until_served(3)
    assert answer(anna.serving) == {"encoder": "encoder by dictionary", "decoder": "decoder 2.0.0"}


def test_what_was_promoted_is_stable_and_can_be_gone_back_to(crew: Crew) -> None:
    crew.shop.publish("model", "1.0.0", "2.0.0", stable=False)
    crew.hire("anna")
    crew.promote(model="1.0.0")
    crew.promote(model="2.0.0")
    assert crew.coordinator.rollback("model", who="bob", reason="worse").committed.versions == {"model": "1.0.0"}


def test_several_who_found_a_cluster_at_once_agree(crew: Crew) -> None:
    crew.shop.publish("model", "1.0.0", "2.0.0")
    wanted = ["1.0.0", "2.0.0", "latest"]
    with ThreadPoolExecutor(3) as threads:
        sets = list(threads.map(lambda each: crew.coordinator.found({"model": each}, who=each, why="start"), wanted))
    assert len({(each.generation, each.who) for each in sets}) == 1
    crew.hire("anna")
    crew.until_served(1)


def test_the_first_promotion_keeps_what_members_that_began_by_themselves_serve_if_they_agree(crew: Crew) -> None:
    crew.shop.publish("encoder", "1.0.0", "2.0.0")
    crew.shop.publish("decoder", "1.0.0", "2.0.0")
    anna = crew.hire("anna", first={"encoder": "1.0.0", "decoder": "1.0.0"})
    bert = crew.hire("bert", first={"encoder": "1.0.0", "decoder": "2.0.0"})
    assert anna.follower.ready().ready and anna.follower.generation == 1
    crew.until(lambda: len([row for row in crew.coordinator.report().members if row.versions]) == 2)
    with pytest.raises(InvalidRequest, match=r"decoder 1\.0\.0 and decoder 2\.0\.0"):
        crew.promote(encoder="2.0.0")
    crew.dismiss(bert)
    generation = crew.promote(encoder="2.0.0")
    assert generation == 2, "a number that members gave by themselves is not used for another set"
    crew.until_served(generation)
    assert anna.versions == {"encoder": "2.0.0", "decoder": "1.0.0"}


def test_the_report_names_who_is_behind_and_what_came_to_nothing(crew: Crew) -> None:
    crew.shop.publish("model", "1.0.0", "2.0.0", "3.0.0")
    anna, bert = crew.hire("anna"), crew.hire("bert")
    crew.promote(model="1.0.0")
    assert crew.coordinator.served(1, 30.0).behind == ()
    bert.loader.failing["model 2.0.0"] = ValueError("bad answer")
    with pytest.raises(LoadFailed, match="bert"):
        crew.promote(model="2.0.0")
    del bert.loader.failing["model 2.0.0"]
    bert.follower.close()
    crew.promote(model="3.0.0")
    crew.until(lambda: anna.follower.generation == 3)
    report = crew.coordinator.served(3, 30.0)
    assert [(row.member, row.serves, row.ready, row.living) for row in report.members] == [("anna", 3, True, True)]
    assert "bad answer" in report.aborted and "model 2.0.0" in report.aborted
    plain = report.plain()
    assert (plain["generation"], plain["versions"], plain["behind"]) == (3, {"model": "3.0.0"}, [])


def test_a_rollback_killed_at_any_moment_has_happened_or_not_and_what_it_left_stays_left(crew: Crew) -> None:
    crew.shop.publish("model", "1.0.0", "2.0.0")
    code = (
        AT_EVERY_CALL
        + """
    from pathlib import Path
    from modelhost.cluster.coordinator import Coordinator
    from modelhost.cluster.desired import DesiredLog
    from modelhost.cluster.place import DirectoryPlace
    from modelhost.errors import NothingStable
    from modelhost.registry.base import Status
    from modelhost.registry.directory import DirectoryRegistry

    CALLS.add("os.link")
    root = Path(sys.argv[2])
    registry, place = DirectoryRegistry(root), DirectoryPlace(root, "translator")
    coordinator, log = Coordinator(place, registry), DesiredLog(place)

    def promote(version):
        coordinator.promote({"model": version}, who="ann", why="better", at_least=0)

    def rollback():
        Coordinator(place, DirectoryRegistry(root)).rollback("model", who="bob", reason="worse")

    def after(number):
        now = log.read().committed
        if now.versions == {"model": "2.0.0"}:
            seen.add("as it was")
            return
        assert now.versions == {"model": "1.0.0"} and now.rejected == {"model": "2.0.0"}
        seen.add(registry.find("model", "2.0.0").status.value)
        try:
            rollback()
        except NothingStable:
            pass
        else:
            raise AssertionError("it went back to what was left")
        registry.mark("model", "2.0.0", Status.STABLE, "ann", "for the next try")
        promote("2.0.0")

    seen = set()
    promote("1.0.0")
    promote("2.0.0")
    killed_at_every_call(rollback, after)
    print(*sorted(seen), sep=", ")
    """
    )
    process = script(code, crew.shop.root)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert {"as it was", "stable"} <= set(output.splitlines()[1].split(", ")), "before what it writes, and in between"
