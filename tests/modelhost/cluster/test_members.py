"""Who lives is seen by change, on the observer's own clock."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from modelhost.cluster import whereabouts
from modelhost.cluster.members import Beat, Members, State
from modelhost.cluster.place import DirectoryPlace
from modelhost.cluster.whereabouts import Whereabouts, has_ended, here
from tests.modelhost.registry.material import script
from tests.modelhost.serving.workshop import eventually


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def place(tmp_path: Path) -> DirectoryPlace:
    return DirectoryPlace(tmp_path, "translator")


def life(members: Members) -> dict[str, tuple[bool, bool]]:
    return {each.beat.key: (each.living, each.confirmed) for each in members.observe()}


def test_a_member_lives_while_it_changes_and_for_a_ttl_after(place: DirectoryPlace) -> None:
    clock = Clock()
    observer, member = Members(place, 10.0, clock), Members(place, 10.0, lambda: 1e6)
    member.beat(Beat(key="anna-1", name="anna", count=1))
    assert life(observer) == {"anna-1": (True, False)}, "who is seen once may be dead: nobody has seen it change"
    clock.now = 5.0
    member.beat(Beat(key="anna-1", name="anna", count=2))
    for clock.now in (5.0, 10.0, 14.5):
        assert life(observer) == {"anna-1": (True, True)}
    clock.now = 15.0
    assert life(observer) == {"anna-1": (False, True)}
    member.beat(Beat(key="anna-1", name="anna", count=3))
    assert life(observer) == {"anna-1": (True, True)}, "it has returned"


def test_whose_process_has_ended_on_this_machine_is_dead_at_once(place: DirectoryPlace) -> None:
    observer, own = Members(place, 10.0, Clock()), here()
    assert own is not None
    ended = script("from modelhost.cluster.whereabouts import here\nprint(here().model_dump_json())")
    gone = Whereabouts.model_validate_json(ended.communicate(timeout=60)[0])
    elsewhere = gone.model_copy(update={"space": "another machine"})
    taken = own.model_copy(update={"began": own.began - 1})  # its number was given to this process
    for name, process in {"own": own, "gone": gone, "elsewhere": elsewhere, "taken": taken, "silent": None}.items():
        observer.beat(Beat(key=name, name=name, process=process))
    assert {key: living for key, (living, _) in life(observer).items()} == {
        "own": True,
        "gone": False,
        "elsewhere": True,
        "taken": False,
        "silent": True,
    }


def test_where_proc_has_the_numbers_of_another_namespace_nothing_is_known() -> None:
    assert whereabouts._of.__wrapped__(os.getpid()) == here()
    # as where /proc was mounted before this one's numbers began: what it calls `self` has another number
    assert whereabouts._of.__wrapped__(os.getppid()) is None


def test_a_killed_process_that_its_parent_has_not_looked_after_yet_has_ended() -> None:
    running = script(
        "import threading, time\nfrom modelhost.cluster.whereabouts import here\n"
        "threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "print(here().model_dump_json(), flush=True)\ntime.sleep(600)"
    )
    assert running.stdout is not None
    process = Whereabouts.model_validate_json(running.stdout.readline())
    try:
        assert not has_ended(process)
        os.kill(running.pid, signal.SIGKILL)
        eventually(lambda: has_ended(process))
        assert running.returncode is None
    finally:
        running.kill()
        running.communicate(timeout=60)


def test_while_the_registry_was_out_of_reach_nobody_died_who_lived_before(place: DirectoryPlace) -> None:
    clock = Clock()
    observer = Members(place, 10.0, clock)
    observer.beat(Beat(key="dead", name="dead"))
    for clock.now in (0.0, 5.0, 10.0):
        observer.beat(Beat(key="alive", name="alive", count=int(clock.now)))
        observer.observe()
    assert life(observer) == {"alive": (True, True), "dead": (False, False)}
    clock.now = 100.0
    assert life(observer) == {"alive": (True, False), "dead": (False, False)}
    for clock.now in (105.0, 109.0):
        assert life(observer)["alive"] == (True, False)
    clock.now = 110.0
    assert life(observer)["alive"] == (False, False), "it had its ttl"


def test_an_observer_that_slept_takes_nobody_for_dead_who_changed_meanwhile(place: DirectoryPlace) -> None:
    clock = Clock()
    observer = Members(place, 10.0, clock)
    observer.beat(Beat(key="anna-1", name="anna", count=1))
    observer.observe()
    clock.now = 500.0
    observer.beat(Beat(key="anna-1", name="anna", count=2))
    assert life(observer) == {"anna-1": (True, True)}


def test_a_dead_one_is_named_until_it_was_started_anew_or_is_long_gone(place: DirectoryPlace) -> None:
    clock = Clock()
    observer = Members(place, 10.0, clock)
    observer.beat(Beat(key="anna-1", name="anna"))
    observer.beat(Beat(key="bert-1", name="bert"))
    for clock.now in (0.0, 5.0, 10.0):
        observer.observe()
    observer.beat(Beat(key="anna-2", name="anna", state=State.LOADING, generation=3))
    assert life(observer) == {"anna-2": (True, False), "bert-1": (False, False)}
    clock.now = 600.0
    observer.observe()
    assert "bert-1.json" in place.names("members")
    clock.now = 601.0
    observer.observe()
    assert place.names("members") == ["anna-2.json"]


def test_who_leaves_is_gone_at_once_and_what_cannot_be_read_is_nobody(place: DirectoryPlace) -> None:
    observer = Members(place, 10.0, Clock())
    observer.beat(Beat(key="anna-1", name="anna"))
    place.put("members/torn.json", b'{"key": "to')
    assert life(observer) == {"anna-1": (True, False)}
    observer.leave("anna-1")
    observer.leave("anna-1")
    assert life(observer) == {}
