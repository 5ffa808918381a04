"""The live view on a terminal: finished steps stay above as they ended, the current one moves below them.

Only the last few lines are ever redrawn, so the history scrolls as any output does and a small window is enough.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live as Display
from rich.padding import Padding
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from release.cli.console import live_tables, tables, verdicts, wording
from release.cli.console.keys import Echo
from release.ledger.records import StepState
from release.pipeline.events import Began, Ended, Event, Excerpt, Said, StepBegan, StepEnded, StepProgress, VerdictGiven
from release.verdict import Verdict

_BAD = (StepState.FAILED, StepState.UNDO_FAILED)


class Live:
    """`clock` gives monotonic seconds. `verbose` shows all evidence of green checks as well."""

    def __init__(
        self,
        stream: TextIO,
        *,
        verbose: bool = False,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console or Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=False)
        self._verbose, self._clock = verbose, clock
        self._began = clock()
        self._step: str | None = None
        self._step_began = self._began
        self._progress = ""
        self._waiting: list[str] = []
        self._undoing = False
        self._judged: Verdict | None = None
        self._name_width = 12
        self._spinner = Spinner("dots", style="cyan")
        self._display: Display | None = None
        self._echo = Echo()

    def __call__(self, event: Event) -> None:
        match event:
            case Began():
                self._begin(event)
            case StepBegan():
                self._settle_verdict()
                self._step, self._step_began, self._progress = event.step, self._clock(), ""
                self._waiting = [name for name in self._waiting if name != event.step]
                self._show()
            case StepProgress():
                self._progress = wording.one_line(event.text)
            case StepEnded():
                self._end_step(event)
            case VerdictGiven():
                self._settle_verdict()
                self._judged = event.verdict
            case Said():
                self._say(event)
            case Excerpt():
                self._excerpt(event)
            case Ended():
                self._end(event)

    def close(self) -> None:
        self._settle_verdict()
        if self._display is not None:
            self._display.stop()
            self._display = None
            self._echo.restore()

    # -- events

    def _begin(self, event: Began) -> None:
        self._waiting = list(event.steps)
        self._name_width = max([12, *(len(name) for name in event.steps)])
        title = Text(event.title, style="bold")
        if event.deployment:
            title.append(f"  {event.deployment}", style="dim")
        self._print(title)
        self._print(Text(""))
        self._show()

    def _end_step(self, event: StepEnded) -> None:
        self._step = None
        if event.state is StepState.FAILED:
            self._undoing, self._step_began, self._progress = True, self._clock(), ""
        state = f"{event.state}: " if event.state is StepState.UNDO_FAILED else ""
        detail = f"{state}{event.detail}" if event.detail else str(event.state)
        self._print(self._row(event.step, event.state, detail, event.seconds))
        if self._judged is not None and self._judged.check == event.step:
            self._evidence(self._judged)
            self._judged = None

    def _settle_verdict(self) -> None:
        verdict, self._judged = self._judged, None
        if verdict is not None:
            end = verdicts.as_end(verdict)
            self._step = None
            self._print(self._row(end.step, end.state, end.detail, end.seconds))
            self._evidence(verdict)

    def _say(self, event: Said) -> None:
        colour = wording.LEVEL_COLOURS[event.level] or "dim"
        line = self._grid()
        line.add_row(Text(wording.LEVELS[event.level], style=colour), Text(event.text, style=colour))
        self._print(line)

    def _excerpt(self, event: Excerpt) -> None:
        self._print(Padding(Text(event.title, style="bold"), (1, 0, 0, 2)))
        for line in event.lines:
            shown = Text("│ ", style="red")
            shown.append(wording.one_line(line), style="dim")
            self._print(Padding(shown, (0, 0, 0, 2)))
        self._print(Text(""))

    def _end(self, event: Ended) -> None:
        self.close()
        colour = "green" if event.outcome in wording.GOOD_ENDS or event.outcome == "tried" else "yellow"
        colour = "red" if event.outcome in ("refused", "failed") else colour
        text = Text(f"\n{event.outcome}", style=f"bold {colour}")
        text.append(f"  after {wording.seconds(event.seconds)}", style="dim")
        self._print(text)

    # -- pictures

    def _row(self, name: str, state: StepState, detail: str, seconds: float | None) -> RenderableType:
        bad = state in _BAD
        colour = wording.COLOURS.get(state, "")
        quiet = "dim" if state is StepState.SKIPPED else colour if bad else ""
        text = "\n".join(line.strip() for line in detail.splitlines()) if bad else " ".join(detail.split())
        row = self._grid(named=True, crop=not bad)
        row.add_row(
            Text(wording.SIGNS.get(state, "·"), style=colour),
            Text(name, style="bold" if bad else quiet),
            Text(text, style=quiet),
            Text(wording.seconds(seconds), style="dim"),
        )
        return row

    def _grid(self, named: bool = False, crop: bool = False) -> Table:
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(width=1)
        if named:
            grid.add_column(width=self._name_width, no_wrap=True)
        grid.add_column(ratio=1, no_wrap=crop, overflow="ellipsis" if crop else "fold")
        if named:
            grid.add_column(justify="right", min_width=6, no_wrap=True)
        return grid

    def _picture(self) -> RenderableType:
        """What moves: the current step with its newest line, and what is still to come."""
        if self._step is None and not self._undoing:
            return Text("")
        now = self._clock()
        name = self._step or "undoing"
        what = self._progress or ("" if self._step else "what was begun is taken back")
        row = self._grid(named=True, crop=True)
        row.add_row(
            self._spinner,
            Text(name, style="cyan"),
            Text(what),
            Text(wording.seconds(now - self._step_began), style="dim"),
        )
        if not self._waiting or self._undoing:
            return row
        then = self._grid(named=True, crop=True)
        then.add_row(
            Text(""),
            Text("then", style="dim"),
            Text(" · ".join(self._waiting), style="dim"),
            Text(wording.clock(now - self._began).strip(), style="dim"),
        )
        return Group(row, then)

    def _evidence(self, verdict: Verdict) -> None:
        for excerpt in verdicts.excerpts(verdict):
            self._excerpt(excerpt)
        for table in tables.of(verdict, self._verbose):
            self._print(Padding(Text(str(table.get("title", "")), style="italic"), (1, 0, 0, 4)))
            self._print(Padding(live_tables.drawn(table, self._console.width), (0, 0, 0, 4)))

    # -- the screen

    def _show(self) -> None:
        if self._display is None:
            self._display = Display(
                get_renderable=self._picture, console=self._console, transient=True, refresh_per_second=8
            )
            self._echo.hush()
            self._display.start()

    def _print(self, what: RenderableType) -> None:
        self._console.print(what)
