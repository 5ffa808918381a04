"""Which reporter a run gets: moving only where a person looks at a terminal that can move."""

from __future__ import annotations

import contextlib
import io

import pytest

from release.cli.console import choose
from release.cli.console.github import GitHub
from release.cli.console.live import Live
from release.cli.console.plain import Plain
from release.cli.settings import Settings


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def chosen(stream: io.StringIO, settings: Settings, environ: dict[str, str], *, live: bool = True) -> type:
    # Redirected here, not in a fixture: pytest's capture puts its own stream back before the test begins.
    with contextlib.redirect_stderr(stream):
        reporter = choose.reporter(settings, live=live, environ=environ)
    return type(reporter._inner)  # type: ignore[attr-defined]


def test_a_terminal_gets_the_live_view_for_long_runs_only() -> None:
    assert chosen(Terminal(), Settings(), {"TERM": "xterm"}) is Live
    assert chosen(Terminal(), Settings(), {"TERM": "xterm"}, live=False) is Plain


@pytest.mark.parametrize("environ", [{"TERM": "dumb"}, {}, {"TERM": "xterm", "CI": "true"}])
def test_a_terminal_that_cannot_move_and_ci_get_plain_lines(environ: dict[str, str]) -> None:
    assert chosen(Terminal(), Settings(), environ) is Plain


@pytest.mark.parametrize("settings", [Settings(json=True), Settings(plain=True), Settings(quiet=True)])
def test_who_asks_for_plain_lines_or_json_gets_no_moving_view(settings: Settings) -> None:
    assert chosen(Terminal(), settings, {"TERM": "xterm"}) is Plain


def test_a_pipe_gets_plain_lines_and_a_workflow_its_annotations() -> None:
    assert chosen(io.StringIO(), Settings(), {"TERM": "xterm"}) is Plain
    assert chosen(io.StringIO(), Settings(), {"TERM": "xterm", "GITHUB_ACTIONS": "true"}) is GitHub


def test_colours_follow_the_conventions() -> None:
    assert choose.coloured(Terminal(), {"TERM": "xterm"})
    assert not choose.coloured(Terminal(), {"TERM": "dumb"})
    assert not choose.coloured(Terminal(), {"TERM": "xterm", "NO_COLOR": "1", "FORCE_COLOR": "1"})
    assert not choose.coloured(io.StringIO(), {"TERM": "xterm"})
    assert choose.coloured(io.StringIO(), {"FORCE_COLOR": "1"})
