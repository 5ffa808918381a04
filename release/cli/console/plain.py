"""Plain lines for CI and pipes: one an event, with the time since the start, and a heartbeat in long steps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TextIO

import click

from release.cli.console import harmless, tables, verdicts, wording
from release.ledger.records import StepState
from release.pipeline.events import Began, Ended, Event, Excerpt, Said, StepBegan, StepEnded, StepProgress, VerdictGiven
from release.verdict import Verdict

HEARTBEAT = 10.0  # seconds without a line after which one says what is being done
THROTTLE = 3.0  # seconds between two lines of progress


class Plain:
    """`colour` paints signs; `quiet` keeps warnings and failures; `verbose` shows every line of progress.

    `clock` gives monotonic seconds. A thread of its own beats while a step runs.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        colour: bool = False,
        quiet: bool = False,
        verbose: bool = False,
        width: int = 120,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream, self._colour, self._quiet, self._verbose = stream, colour, quiet, verbose
        self._width, self._clock = width, clock
        self._began = self._spoke = clock()
        self._step: str | None = None
        self._step_began = 0.0
        self._progress = ""
        self._told = ""
        self._judged: Verdict | None = None
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __call__(self, event: Event) -> None:
        with self._lock:
            match event:
                case Began():
                    self._line(
                        event.title if not event.deployment else f"{event.title} ({event.deployment})", bold=True
                    )
                case StepBegan():
                    self._begin(event.step)
                case StepProgress():
                    self._advance(event.text)
                case StepEnded():
                    self._end(event)
                case VerdictGiven():
                    self._settle_verdict()
                    self._judged = event.verdict
                case Said():
                    self._say(event)
                case Excerpt():
                    self._excerpt(event)
                case Ended():
                    self._step = None
                    self._line(f"{event.outcome} after {wording.seconds(event.seconds)}", bold=True)
                    self.close()

    def close(self) -> None:
        self._stop.set()
        with self._lock:
            self._settle_verdict()

    def beat(self) -> None:
        """Says what the step is doing where nothing was said for a while; the thread calls it, and tests do."""
        with self._lock:
            if self._step is None or self._quiet:
                return
            silent = self._clock() - self._spoke
            fresh = bool(self._progress) and self._progress != self._told
            if silent >= HEARTBEAT or (fresh and silent >= THROTTLE):
                doing = self._progress or "still at it"
                self._told = self._progress
                self._line(f"{self._step}: {doing} ({wording.seconds(self._clock() - self._step_began)})")

    # -- events

    def _begin(self, step: str) -> None:
        self._settle_verdict()
        self._step, self._step_began, self._progress, self._told = step, self._clock(), "", ""
        if not self._quiet:
            self._line(f"{step} …")
            self._start_beating()

    def _advance(self, text: str) -> None:
        self._progress = wording.one_line(text)
        if self._quiet or self._progress == self._told:
            return
        if self._verbose or self._clock() - self._spoke >= THROTTLE:
            self._told = self._progress
            self._line(f"{self._step}: {self._progress}")

    def _end(self, event: StepEnded) -> None:
        self._step = None
        judged = self._judged if self._judged is not None and self._judged.check == event.step else None
        self._judged = None if judged is not None else self._judged
        bad = event.state in (StepState.FAILED, StepState.UNDO_FAILED)
        if self._quiet and not bad:
            return
        sign = self._paint(wording.SIGNS.get(event.state, "·"), wording.COLOURS.get(event.state, ""))
        state = "" if event.state is StepState.DONE else f"{event.state}: "
        detail = state + " ".join(event.detail.split()) if event.detail else str(event.state)
        self._line(f"{sign} {event.step}: {detail} [{wording.seconds(event.seconds)}]")
        if judged is not None:
            self._evidence(judged)

    def _settle_verdict(self) -> None:
        verdict, self._judged = self._judged, None
        if verdict is not None:
            self._end(verdicts.as_end(verdict))
            self._evidence(verdict)

    def _evidence(self, verdict: Verdict) -> None:
        if self._quiet and verdict.green:
            return
        for excerpt in verdicts.excerpts(verdict):
            self._excerpt(excerpt)
        shown = tables.of(verdict, self._verbose)
        for table in shown:
            self._write("")
            self._write(f"    {table.get('title', '')}")
            for line in tables.text(table["columns"], table["rows"], max(40, self._width - 6)):
                self._write(f"    │ {line}".rstrip())
        if shown:
            self._write("")

    def _say(self, event: Said) -> None:
        if self._quiet and event.level == "info":
            return
        sign = self._paint(wording.LEVELS[event.level], wording.LEVEL_COLOURS[event.level])
        word = "" if event.level == "info" else f"{event.level}: "
        self._line(f"{sign} {word}{event.text}")

    def _excerpt(self, event: Excerpt) -> None:
        self._line(f"{event.title}:")
        for line in event.lines:
            self._write(f"    | {wording.one_line(line)}")

    # -- writing

    def _paint(self, text: str, colour: str) -> str:
        return click.style(text, fg=colour) if self._colour and colour else text

    def _line(self, text: str, bold: bool = False) -> None:
        self._spoke = self._clock()
        first, *rest = text.splitlines() or [""]
        head = wording.clock(self._spoke - self._began)
        shown = click.style(first, bold=True) if bold and self._colour else first
        self._write(f"{self._paint(head, 'bright_black')}  {shown}")
        for line in rest:
            self._write(f"{' ' * len(head)}    {line.strip()}")

    def _write(self, text: str) -> None:
        self._stream.write(harmless.no_command(text) + "\n")
        self._stream.flush()

    def _start_beating(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
            self._thread.start()

    def _beat(self) -> None:
        while not self._stop.wait(1.0):
            try:
                self.beat()
            except (OSError, ValueError):
                return
