"""The runner: order, journal before effect, undo in reverse."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from release.errors import EngineError, Interrupted, ReleaseError, Superseded
from release.ledger.journal import Journal
from release.ledger.records import DeploymentRow, DeploymentState, Kind, StepState
from release.ledger.store import Ledger, utc_now
from release.pipeline.events import Event, Said, StepEnded
from release.pipeline.interruption import Interruption
from release.pipeline.runner import Runner
from release.pipeline.step import Skip


class Bench:
    """A runner over a real ledger, with what was done in the order in which it was done."""

    def __init__(self, path: Path) -> None:
        self.ledger = Ledger(path / "ledger.db")
        row = DeploymentRow("d1", Kind.DEPLOY, "v1", DeploymentState.RUNNING, "ada", "h", os.getpid(), utc_now())
        self.ledger.begin(row)
        self.done: list[str] = []
        self.events: list[Event] = []
        self.interruption = Interruption()
        self.before: list[str] = []
        self.runner = Runner(Journal(self.ledger, "d1"), self.events.append, self.interruption, self._before)
        self.superseded = False

    def _before(self) -> None:
        if self.superseded:
            raise Superseded("a rollback took over")

    def states(self, step: str) -> list[StepState]:
        return [row.state for row in self.ledger.steps("d1") if row.step == step]


class Toy:
    def __init__(
        self, bench: Bench, name: str, *, fails: bool = False, undo_fails: bool = False, commits: bool = False
    ):
        self.bench, self.name, self.commits = bench, name, commits
        self.fails, self.undo_fails = fails, undo_fails

    def run(self) -> str | Skip:
        # What the journal says at the moment of the effect is what a power cut would leave.
        assert self.bench.states(self.name)[-1] is StepState.STARTED
        self.bench.done.append(f"run {self.name}")
        if self.fails:
            raise EngineError(f"{self.name} broke")
        return f"{self.name} ran"

    def undo(self) -> str | None:
        self.bench.done.append(f"undo {self.name}")
        if self.undo_fails:
            raise EngineError(f"{self.name} could not be undone")
        return f"{self.name} is undone"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_steps_run_in_order_and_each_is_journalled_before_its_effect(bench: Bench) -> None:
    bench.runner.run([Toy(bench, "a"), Toy(bench, "b")])
    assert bench.done == ["run a", "run b"]
    assert bench.states("a") == [StepState.STARTED, StepState.DONE]


@pytest.mark.parametrize("failing", ["a", "b", "c"])
def test_a_failing_step_is_undone_itself_and_then_those_before_it_in_reverse(bench: Bench, failing: str) -> None:
    names = ["a", "b", "c"]
    with pytest.raises(EngineError, match=f"{failing} broke"):
        bench.runner.run([Toy(bench, name, fails=name == failing) for name in names])
    ran = names[: names.index(failing) + 1]
    assert bench.done == [f"run {n}" for n in ran] + [f"undo {n}" for n in reversed(ran)]
    assert bench.states(failing)[-3:] == [StepState.FAILED, StepState.UNDOING, StepState.UNDONE]


def test_an_undo_that_fails_stops_none_of_the_others_and_is_told(bench: Bench) -> None:
    with pytest.raises(EngineError, match="c broke"):
        bench.runner.run([Toy(bench, "a"), Toy(bench, "b", undo_fails=True), Toy(bench, "c", fails=True)])
    assert bench.done[-3:] == ["undo c", "undo b", "undo a"]
    assert bench.states("b")[-1] is StepState.UNDO_FAILED
    assert any(isinstance(e, StepEnded) and e.state is StepState.UNDO_FAILED for e in bench.events)


def test_after_the_commit_nothing_is_undone(bench: Bench) -> None:
    with pytest.raises(EngineError):
        bench.runner.run([Toy(bench, "a"), Toy(bench, "commit", commits=True), Toy(bench, "late", fails=True)])
    assert bench.done == ["run a", "run commit", "run late", "undo late"]


def test_steps_after_the_commit_each_stand_alone(bench: Bench) -> None:
    errors = bench.runner.finish([Toy(bench, "x", fails=True), Toy(bench, "y")])
    assert [error.message for error in errors] == ["x broke"]
    assert bench.done == ["run x", "run y"]
    assert any(isinstance(e, Said) and "x broke" in e.text for e in bench.events)


def test_a_run_that_was_superseded_stops_before_its_next_step_and_undoes(bench: Bench) -> None:
    first = Toy(bench, "a")
    original = first.run

    def run_and_lose() -> str | Skip:
        bench.superseded = True
        return original()

    first.run = run_and_lose  # type: ignore[method-assign]
    with pytest.raises(Superseded):
        bench.runner.run([first, Toy(bench, "b")])
    assert bench.done == ["run a", "undo a"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_undoes_what_was_begun_and_a_second_one_does_not_disturb_that(
    bench: Bench, number: signal.Signals
) -> None:
    class Signalled(Toy):
        def run(self) -> str | Skip:
            super().run()
            os.kill(os.getpid(), number)
            time.sleep(5)
            raise AssertionError("the signal did not arrive")

        def undo(self) -> str | None:
            os.kill(os.getpid(), number)
            return super().undo()

    with bench.interruption.handling(), pytest.raises(Interrupted, match=number.name):
        bench.runner.run([Toy(bench, "a"), Signalled(bench, "b")])
    assert bench.done == ["run a", "run b", "undo b", "undo a"]


def test_a_shielded_section_ends_before_a_signal_is_raised(bench: Bench) -> None:
    reached = []
    with bench.interruption.handling(), pytest.raises(Interrupted):
        with bench.interruption.shield():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
            reached.append("the end of the section")
        reached.append("after it")
    assert reached == ["the end of the section"]


def test_undoing_goes_on_where_the_journal_cannot_be_written(bench: Bench) -> None:
    class Closes(Toy):
        def run(self) -> str | Skip:
            super().run()
            bench.ledger.close()
            raise ReleaseError("broken")

    with pytest.raises(ReleaseError):
        bench.runner.run([Toy(bench, "a"), Closes(bench, "b")])
    assert bench.done == ["run a", "run b", "undo b", "undo a"]


def test_an_undo_that_breaks_in_an_unforeseen_way_stops_none_of_the_others_and_is_named(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    class Broken(Toy):
        def undo(self) -> str | None:
            raise KeyError("id")

    steps = [Toy(bench, "one"), Broken(bench, "two"), Toy(bench, "three", fails=True)]
    with pytest.raises(EngineError):
        bench.runner.run(steps)
    assert bench.done[-1] == "undo one"
    assert bench.runner.left_undone == ["two"]
    assert bench.states("two")[-1] is StepState.UNDO_FAILED


def test_an_interruption_that_was_swallowed_is_raised_by_the_next_question(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with bench.interruption.handling():
        with contextlib.suppress(ReleaseError):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
        with pytest.raises(Interrupted):
            bench.interruption.check()
        bench.interruption.disarm()
        bench.interruption.check()


def test_an_interruption_that_a_library_wrapped_in_an_error_of_its_own_is_still_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    class Wrapping(Toy):
        def run(self) -> str | Skip:
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(1)
            except Exception as error:
                raise EngineError(f"could not connect: {error}") from error
            return "ran"

    with bench.interruption.handling(), pytest.raises(Interrupted):
        bench.runner.run([Toy(bench, "one"), Wrapping(bench, "two")])
    assert bench.done[-1] == "undo one"


def test_a_signal_during_the_commit_comes_too_late(bench: Bench) -> None:
    class Committing(Toy):
        def run(self) -> str | Skip:
            told = super().run()
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
            return told

    with bench.interruption.handling():
        bench.runner.run([Toy(bench, "a"), Committing(bench, "commit", commits=True)])
    assert bench.done == ["run a", "run commit"]
    assert bench.interruption.signal is signal.SIGTERM


def test_a_commit_that_fails_under_a_signal_is_undone_as_interrupted(bench: Bench) -> None:
    class Failing(Toy):
        def run(self) -> str | Skip:
            os.kill(os.getpid(), signal.SIGTERM)
            return super().run()

    with bench.interruption.handling(), pytest.raises(Interrupted):
        bench.runner.run([Toy(bench, "a"), Failing(bench, "commit", commits=True, fails=True)])
    assert bench.done == ["run a", "run commit", "undo commit", "undo a"]


def test_a_signal_in_the_very_moment_of_a_failure_keeps_nothing_from_being_undone(bench: Bench) -> None:
    class Late(Interruption):
        def disarm(self) -> Interrupted | None:
            if not self.count:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.01)
            return super().disarm()

    interruption = Late()
    runner = Runner(Journal(bench.ledger, "d1"), bench.events.append, interruption, lambda: None)
    with interruption.handling(), pytest.raises(Interrupted):
        runner.run([Toy(bench, "a"), Toy(bench, "b", fails=True)])
    assert bench.done == ["run a", "run b", "undo b", "undo a"]
