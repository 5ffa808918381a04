"""Plain lines for CI: one an event, a heartbeat in long steps, never more than a person can read."""

from __future__ import annotations

import io

from release.cli.console.plain import HEARTBEAT, Plain
from release.cli.console.reporter import Steady
from release.ledger.records import StepState
from release.pipeline.events import (
    Began,
    Ended,
    Excerpt,
    Said,
    StepBegan,
    StepEnded,
    StepProgress,
    VerdictGiven,
)
from release.verdict import failed, no_data, passed

TABLE = {"title": "Worst cases", "columns": ["source", "candidate"], "rows": [["今天天气很好", "bad"], ["b", "worse"]]}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def plain(**options: bool) -> tuple[Plain, io.StringIO, Clock]:
    stream, clock = io.StringIO(), Clock()
    return Plain(stream, clock=clock, **options), stream, clock


def test_each_event_is_a_line_with_the_time_since_the_start() -> None:
    reporter, stream, clock = plain()
    reporter(Began("d-1", "deploy v1.0.0 to shop", ("health",)))
    clock.now += 65
    reporter(StepBegan("health"))
    reporter(StepEnded("health", StepState.DONE, "ready after 3.1 s", 3.2))
    reporter(Said("look here", "warning"))
    reporter(Ended("d-1", "live", "v1.0.0 is live", 68.0))
    assert stream.getvalue().splitlines() == [
        "  0:00  deploy v1.0.0 to shop (d-1)",
        "  1:05  health …",
        "  1:05  ✓ health: ready after 3.1 s [3.2 s]",
        "  1:05  ! warning: look here",
        "  1:05  live after 1 min 08 s",
    ]


def test_a_skipped_step_says_so_with_its_reason() -> None:
    reporter, stream, _ = plain()
    reporter(StepEnded("push", StepState.SKIPPED, "registry.push is off", 0.0))
    assert "– push: skipped: registry.push is off" in stream.getvalue()


def test_progress_is_throttled_and_the_newest_line_is_not_lost() -> None:
    reporter, stream, clock = plain()
    reporter(StepBegan("obtain"))
    for number in range(1000):
        clock.now += 0.01
        reporter(StepProgress("obtain", f"Step {number}/1000"))
    lines = [line for line in stream.getvalue().splitlines() if "Step" in line]
    assert 2 <= len(lines) <= 4
    clock.now += 3.5
    reporter.beat()
    assert "Step 999/1000" in stream.getvalue()
    reporter.close()


def test_verbose_shows_every_line_of_progress() -> None:
    reporter, stream, _ = plain(verbose=True)
    reporter(StepBegan("obtain"))
    for number in range(20):
        reporter(StepProgress("obtain", f"Step {number}"))
    assert stream.getvalue().count("obtain: Step") == 20
    reporter.close()


def test_a_silent_step_beats_at_least_every_ten_seconds_and_not_more_often() -> None:
    reporter, stream, clock = plain()
    reporter(StepBegan("observe"))
    reporter(StepProgress("observe", "0 errors"))
    for _ in range(60):
        clock.now += 1
        reporter.beat()
    beats = [line for line in stream.getvalue().splitlines() if "observe: 0 errors" in line]
    assert len(beats) >= 60 / HEARTBEAT - 1
    assert len(beats) <= 60 / HEARTBEAT + 1
    assert beats[-1].endswith("s)")
    reporter.close()


def test_no_beat_comes_between_steps() -> None:
    reporter, stream, clock = plain()
    reporter(StepBegan("health"))
    reporter(StepEnded("health", StepState.DONE, "ready", 1.0))
    said = stream.getvalue()
    clock.now += 100
    reporter.beat()
    assert stream.getvalue() == said
    reporter.close()


def test_a_red_verdict_shows_its_tables_and_what_was_printed() -> None:
    reporter, stream, _ = plain()
    verdict = failed("quality", "4 BLEU worse", tables=[TABLE], log=["Traceback", "  boom", "", ""])
    reporter(VerdictGiven(verdict))
    reporter(StepEnded("quality", StepState.FAILED, verdict.reason, 2.0))
    text = stream.getvalue()
    assert "✗ quality: failed: 4 BLEU worse" in text
    assert "今天天气很好" in text and "worse" in text
    assert "    | boom" in text
    assert [line for line in text.splitlines() if line.lstrip().startswith("|")][-1].endswith("boom")


def test_a_green_verdict_keeps_long_sentences_to_itself() -> None:
    reporter, stream, _ = plain()
    figures = {"title": "Floors", "columns": ["metric", "candidate"], "rows": [["BLEU", "31.4"]]}
    reporter(VerdictGiven(passed("quality", "good", tables=[figures, TABLE])))
    reporter(StepEnded("quality", StepState.DONE, "good", 2.0))
    assert "31.4" in stream.getvalue()
    assert "今天" not in stream.getvalue()


def test_a_verdict_without_a_step_of_its_own_is_told_as_one() -> None:
    reporter, stream, _ = plain()
    reporter(StepBegan("latency"))
    reporter(VerdictGiven(no_data("latency", "nobody answers")))
    reporter.close()
    assert "✗ latency: failed: nobody answers" in stream.getvalue()


def test_quiet_keeps_warnings_and_failures_only() -> None:
    reporter, stream, _ = plain(quiet=True)
    reporter(StepBegan("health"))
    reporter(StepProgress("health", "waiting"))
    reporter(Said("all is well"))
    reporter(Said("take care", "warning"))
    reporter(StepEnded("health", StepState.DONE, "ready", 1.0))
    reporter(StepEnded("quality", StepState.FAILED, "worse", 1.0))
    lines = stream.getvalue().splitlines()
    assert [line[8:] for line in lines] == ["! warning: take care", "✗ quality: failed: worse [1.0 s]"]


def test_control_characters_from_outside_do_not_reach_the_terminal() -> None:
    reporter, stream, _ = plain(verbose=True)
    reporter(StepProgress("obtain", "\x1b[2J\x1b[31mred\r\nnext"))
    reporter(Excerpt("the end of the log", ("\x1b]0;title\x07text",)))
    assert "\x1b" not in stream.getvalue() and "\r" not in stream.getvalue() and "\x07" not in stream.getvalue()


def test_without_colour_there_is_no_escape_and_with_it_there_is() -> None:
    for colour in (False, True):
        reporter, stream, _ = plain(colour=colour)
        reporter(StepEnded("health", StepState.DONE, "ready", 1.0))
        assert ("\x1b[" in stream.getvalue()) is colour


def test_a_terminal_that_is_gone_harms_no_deployment() -> None:
    stream = io.StringIO()
    reporter = Steady(Plain(stream))
    stream.close()
    reporter(Said("nobody hears this"))
    reporter(StepBegan("health"))
    reporter.close()
