"""What a member does for each state that is desired, turn by turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelhost.cluster.desired import Desired
from modelhost.cluster.loads import Loads
from modelhost.cluster.members import State
from modelhost.cluster.memory import Memory
from modelhost.cluster.pursuit import Pursuit
from modelhost.registry.directory import utc_now
from tests.modelhost.serving.workshop import Workshop, eventually


class Bench:
    """A pursuit whose turns the test takes, on a clock that stands."""

    def __init__(self, path: Path) -> None:
        self.shop = Workshop(path)
        self.shop.publish("model", "1.0.0", "2.0.0")
        self.serving = self.shop.serve({"model": "1.0.0"})
        self.memory = Memory(path / "remembered.json")
        self.now = 0.0
        self.pursuit = Pursuit(
            self.serving,
            self.memory,
            10.0,
            lambda: self.now,
            fallbacks=(),
            now=utc_now,
            found=lambda: None,
            ended=lambda: None,
        )
        self.first = Desired().found({"model": "1.0.0"}, "ann", "first", utc_now(), above=1)

    def propose(self, desired: Desired) -> Desired:
        return desired.propose({"model": "2.0.0"}, "ann", "better", utc_now(), 30.0)

    def until(self, desired: Desired, state: State) -> None:
        """Takes turns until the member stands so to it."""

        def stands() -> bool:
            self.pursuit.follow(desired)
            return self.pursuit.standing(desired)[0] is state

        eventually(stands)

    @property
    def served(self) -> tuple[int, dict[str, str]]:
        assert self.pursuit.serves is not None
        return self.pursuit.serves[0], dict(self.pursuit.serves[1])

    def end(self) -> None:
        self.pursuit.close()
        self.shop.end()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    try:
        yield bench
    finally:
        bench.end()


def test_what_is_committed_and_in_memory_serves_after_one_turn_and_is_remembered(bench: Bench) -> None:
    bench.pursuit.follow(bench.first)
    assert bench.pursuit.arrived and bench.served == (2, {"model": "1.0.0"})
    assert bench.shop.loader.loads["model 1.0.0"] == 1, "it was there"
    assert bench.memory.recall() == bench.first


def test_what_is_proposed_is_loaded_and_serves_when_it_is_committed(bench: Bench) -> None:
    bench.pursuit.follow(bench.first)
    proposed = bench.propose(bench.first)
    bench.until(proposed, State.LOADED)
    assert bench.served == (2, {"model": "1.0.0"})
    bench.pursuit.follow(proposed.commit(utc_now()))
    assert bench.pursuit.arrived and bench.served == (3, {"model": "2.0.0"})


def test_what_nobody_wants_any_more_leaves_memory(bench: Bench) -> None:
    bench.pursuit.follow(bench.first)
    proposed = bench.propose(bench.first)
    bench.until(proposed, State.LOADED)
    bench.pursuit.follow(proposed.abort("ann", "she changed her mind", utc_now()))
    eventually(lambda: bench.shop.loader.closes("model 2.0.0") == [1])
    assert bench.pursuit.arrived and bench.served == (2, {"model": "1.0.0"})


def test_where_no_thread_can_be_had_it_is_said_and_tried_again_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.pursuit.follow(bench.first)
    wanted = bench.first.go_back({"model": "2.0.0"}, {}, "bob", "worse", utc_now())

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        bench.pursuit.follow(wanted)
    assert bench.pursuit.standing(wanted) == (State.UNABLE, 3, "can't start new thread")
    bench.now = 10.0
    bench.until(wanted, State.SERVING)


def test_what_lands_at_the_moment_of_the_end_is_given_back_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.pursuit.follow(bench.first)
    gate = bench.shop.loader.gate("model 2.0.0")
    proposed = bench.propose(bench.first)
    bench.until(proposed, State.LOADING)
    loads = bench.pursuit._loads
    looked = Loads.prepared.fget
    assert looked is not None

    def prepared(self: Loads) -> frozenset[int]:
        """What was there when it was looked at, and what is there when that is used."""
        found: frozenset[int] = looked(self)
        gate.set()
        eventually(lambda: looked(loads) != frozenset() or not loads.loading)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(Loads, "prepared", property(prepared))
        bench.pursuit.close()
    eventually(lambda: bench.shop.loader.closes("model 2.0.0") == [1])


def test_what_is_committed_and_cannot_be_loaded_says_why_and_is_tried_again_later(bench: Bench) -> None:
    bench.pursuit.follow(bench.first)
    bench.shop.loader.failing["model 2.0.0"] = ValueError("bad answer")
    wanted = bench.first.go_back({"model": "2.0.0"}, {}, "bob", "worse", utc_now())
    assert wanted.committed is not None
    bench.until(wanted, State.UNABLE)
    assert "bad answer" in bench.pursuit.why_not(wanted.committed)
    assert not bench.pursuit.arrived and bench.served == (2, {"model": "1.0.0"}), "the old set serves on"
    del bench.shop.loader.failing["model 2.0.0"]
    bench.pursuit.follow(wanted)
    assert bench.pursuit.standing(wanted)[0] is State.UNABLE, "it is not time yet"
    bench.now = 10.0
    bench.until(wanted, State.SERVING)
    assert bench.served == (3, {"model": "2.0.0"})
