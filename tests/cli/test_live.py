"""The live view, drawn on a terminal of a given size that keeps its text."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from release.cli.console.live import Live
from release.ledger.records import StepState
from release.pipeline.events import Began, Ended, Event, Excerpt, Said, StepBegan, StepEnded, StepProgress, VerdictGiven
from release.verdict import failed, passed, skipped

STEPS = ("resolve", "preflight", "obtain", "start", "quality", "switch")
SOURCE = "请在配置文件中设置超时时间，然后重新启动服务。"
FIGURES = {"title": "Compared", "columns": ["metric", "live", "difference"], "rows": [["BLEU", "24.61", "-4.59"]]}
PROSE = {
    "title": "Worst cases",
    "columns": ["source", "reference", "live", "candidate"],
    "rows": [[SOURCE, "Set the timeout in the file.", "Set the timeout in a file.", "Please please file."]],
}


def draw(*events: Event, width: int = 110, terminal: bool = True) -> str:
    stream = io.StringIO()
    console = Console(
        file=stream, width=width, height=30, force_terminal=terminal, color_system=None, markup=False, highlight=False
    )
    reporter = Live(stream, console=console, clock=lambda: 5.0)
    for event in events:
        reporter(event)
    reporter.close()
    return stream.getvalue()


def refused() -> list[Event]:
    verdict = failed("quality", "bleu is 4.59 worse than live", tables=[FIGURES, PROSE])
    return [
        Began("d-1", "deploy v1.1.0-abc1234 to shop", STEPS),
        StepBegan("obtain"),
        StepProgress("obtain", "Step 3/14 : RUN pip install"),
        StepEnded("obtain", StepState.DONE, "shop:v1.1.0-abc1234", 4.0),
        StepBegan("quality"),
        VerdictGiven(verdict),
        StepEnded("quality", StepState.FAILED, verdict.reason, 2.0),
        Excerpt("the end of the log", ("::error::no command", "[bold]no markup[/bold]")),
        StepEnded("start", StepState.UNDONE, "removed shop-green", 1.0),
        Ended("d-1", "refused", "…", 9.0),
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 110, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    from rich.cells import cell_len

    for line in draw(*refused(), width=width, terminal=False).splitlines():
        assert cell_len(line) <= width, line


def test_finished_steps_stay_with_their_time_and_evidence_follows_its_step() -> None:
    text = draw(*refused(), terminal=False)
    order = [
        "deploy v1.1.0",
        "✓ obtain",
        "✗ quality",
        "BLEU",
        SOURCE[:8],
        "::error::",
        "↩ start",
        "refused  after 9.0 s",
    ]
    places = [text.index(piece) for piece in order]
    assert places == sorted(places)
    assert "[bold]no markup[/bold]" in text


def test_the_moving_part_shows_the_step_its_progress_and_what_is_to_come() -> None:
    text = draw(
        Began("d-1", "deploy", STEPS), StepBegan("obtain"), StepProgress("obtain", "Step 3/14"), StepBegan("start")
    )
    assert "then" in text
    assert "resolve · preflight · quality · switch" in text


def test_the_cursor_is_shown_again_at_the_end() -> None:
    text = draw(Began("d-1", "deploy", STEPS), StepBegan("obtain"))
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_long_texts_stand_under_each_other_on_a_narrow_terminal() -> None:
    lines = [line.strip() for line in draw(*refused(), width=70, terminal=False).splitlines()]
    assert any(line.startswith("source") and SOURCE[:10] in line for line in lines)
    assert any(line.startswith("candidate") and "Please please file." in line for line in lines)


def test_a_verdict_without_a_step_of_its_own_is_told_as_one() -> None:
    text = draw(StepBegan("latency"), VerdictGiven(passed("latency", "p95 6 ms")), terminal=False)
    assert "✓ latency" in text and "p95 6 ms" in text


def test_verdicts_in_a_row_are_all_told() -> None:
    given = (passed("latency", "p95 6 ms"), skipped("quality", "not configured"), skipped("contract", "not configured"))
    text = draw(*(VerdictGiven(verdict) for verdict in given), terminal=False)
    assert "✓ latency" in text and "– quality" in text and "– contract" in text


def test_warnings_and_sentences_are_shown_whole() -> None:
    sentence = "the configuration of nginx differs from the one that this manifest renders, " * 3
    text = draw(Said(sentence, "warning"), width=60, terminal=False)
    assert " ".join(text.replace("!", "").split()) == sentence.strip()
