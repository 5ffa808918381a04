"""Runs steps in order: journals each before its effect, tells what happens, and undoes in reverse where one fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from release.errors import Interrupted, ReleaseError, Superseded
from release.ledger.records import StepState
from release.pipeline.events import Report, Said, StepBegan, StepEnded
from release.pipeline.interruption import Interruption
from release.pipeline.step import Skip, Step


class Journal(Protocol):
    """The durable record of steps; `write` returns once the row survives a power cut."""

    def write(self, step: str, state: StepState, detail: str = "", seconds: float | None = None) -> object: ...


class Runner:
    """`before_each` is asked before every step (has a rollback taken over? is the candidate alive?) and may raise."""

    def __init__(
        self, journal: Journal, report: Report, interruption: Interruption, before_each: Callable[[], None]
    ) -> None:
        self._journal = journal
        self._report = report
        self._interruption = interruption
        self._before_each = before_each
        self.left_undone: list[str] = []  # steps whose undoing failed: the next command tries it again

    def run(self, steps: Sequence[Step]) -> None:
        """Runs all steps. Where one fails, it and those before it are undone and its error is raised.

        After a step that commits nothing is undone: a later failure is raised with everything left as it is.
        """
        attempted: list[Step] = []
        for step in steps:
            try:
                self._interruption.check()
                self._before_each()
                attempted.append(step)
                self._run_or_commit(step)
            except BaseException as error:
                interrupted = self._take_note()
                self.left_undone = self.undo(attempted)
                if interrupted is not None and not isinstance(error, (Interrupted, Superseded)):
                    raise interrupted from error
                raise
            if step.commits:
                self._before_each = lambda: None
                attempted.clear()

    def finish(self, steps: Sequence[Step]) -> list[ReleaseError]:
        """Runs steps after the commit, each by itself: a failure is told and returned, and stops none of the others."""
        errors: list[ReleaseError] = []
        for step in steps:
            try:
                self._run_one(step)
            except Exception as error:
                errors.append(error if isinstance(error, ReleaseError) else ReleaseError(describe(error)))
                self._report(Said(f"{step.name}: {describe(error)}", "warning"))
        return errors

    def undo(self, steps: Sequence[Step]) -> list[str]:
        """Undoes in reverse; one that fails is told and stops none of the others. Gives the names of those."""
        failed: list[str] = []
        for step in reversed(steps):
            began = time.monotonic()
            try:
                self._journal_quietly(step.name, StepState.UNDOING)
                detail = step.undo()
                state, text = StepState.UNDONE, detail or ""
            except Exception as error:
                state, text = StepState.UNDO_FAILED, describe(error)
                failed.append(step.name)
            seconds = time.monotonic() - began
            self._journal_quietly(step.name, state, text, seconds)
            if text or state is StepState.UNDO_FAILED:
                self._report(StepEnded(step.name, state, text, seconds))
        return failed

    def _run_or_commit(self, step: Step) -> None:
        """A commit is whole or not at all: a signal during it comes too late, and undoes nothing."""
        if not step.commits:
            self._run_one(step)
            return
        with self._interruption.shield():
            self._run_one(step)
            self._interruption.disarm()

    def _take_note(self) -> Interrupted | None:
        """From here on no signal disturbs the undo, not even one that comes in this very moment."""
        try:
            return self._interruption.disarm()
        except Interrupted:  # only the first signal raises, so this is the last one
            return self._interruption.disarm()

    def _run_one(self, step: Step) -> None:
        self._journal.write(step.name, StepState.STARTED)
        self._report(StepBegan(step.name))
        began = time.monotonic()
        try:
            result = step.run()
        except BaseException as error:
            seconds = time.monotonic() - began
            text = error.message if isinstance(error, ReleaseError) else describe(error)
            self._journal_quietly(step.name, StepState.FAILED, text, seconds)
            self._report(StepEnded(step.name, StepState.FAILED, text, seconds))
            raise
        seconds = time.monotonic() - began
        state, detail = (StepState.SKIPPED, result.reason) if isinstance(result, Skip) else (StepState.DONE, result)
        if step.commits:
            self._journal_quietly(step.name, state, detail, seconds)
        else:
            self._journal.write(step.name, state, detail, seconds)
        self._report(StepEnded(step.name, state, detail, seconds))

    def _journal_quietly(self, step: str, state: StepState, detail: str = "", seconds: float | None = None) -> None:
        """Undoing goes on where the journal cannot be written (a full disk): the effect matters more."""
        try:
            self._journal.write(step, state, detail, seconds)
        except ReleaseError as error:
            self._report(Said(f"the ledger could not record {step} {state}: {error.message}", "warning"))


def describe(error: BaseException) -> str:
    """The error as one text; a foreign one is a defect, and its name helps to find it."""
    return str(error) if isinstance(error, ReleaseError) else f"{type(error).__name__}: {error}"
