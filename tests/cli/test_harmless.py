"""What a build, a hook, a container or a service prints reaches nobody's terminal or runner as a command."""

from __future__ import annotations

import io
import json

import pytest

from release.cli import failure
from release.cli.console import harmless
from release.cli.console.github import GitHub, append_summary
from release.cli.console.plain import Plain
from release.cli.console.reporter import Steady
from release.errors import Refused
from release.ledger.records import StepState
from release.pipeline.events import Began, Excerpt, Said, StepBegan, StepEnded, StepProgress, VerdictGiven
from release.verdict import Outcome, Verdict

EVIL = (
    "a\x1b[31mb\x1b[0m\x1b]0;title\x07c\x1b[2J\n::error::forged\n  ::set-env name=A::b\nx ##[add-path]/tmp\n\u202eend"
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b31mred", "red"),
        (" 10%\r 50%\r100%\n", "100%\n"),
        ("line\r\nnext", "line\nnext"),
        ("a\tb\x00\x08c\x7f", "a\tbc"),
        ("\x1b(Bx\x1bMy", "xy"),
        ("\x1b]0;never ended\nnext", "\nnext"),
        ("翻译 é ✓", "翻译 é ✓"),
    ],
)
def test_what_moves_a_cursor_or_paints_goes_and_the_text_stays(text: str, shown: str) -> None:
    assert harmless.plain(text) == shown


def obeyed(text: str) -> list[str]:
    """The lines that GitHub's runner takes as commands: `::` behind blanks, `##[` anywhere."""
    return [line for line in text.splitlines() if line.lstrip().startswith("::") or "##[" in line]


def test_a_progress_line_an_excerpt_and_a_sentence_from_outside_are_only_text() -> None:
    stream = io.StringIO()
    report = Steady(GitHub(Plain(stream, verbose=True), stream))
    report(Began("d1", f"deploy {EVIL}", ("obtain",)))
    report(StepBegan("obtain"))
    report(StepProgress("obtain", EVIL))
    report(Said(EVIL, "warning"))
    report(StepEnded("obtain", StepState.FAILED, EVIL, 1.0))
    report(VerdictGiven(Verdict("health", Outcome.FAIL, EVIL, {"last_trouble": EVIL})))
    report(Excerpt("log", tuple(EVIL.splitlines())))
    report.close()
    written = stream.getvalue()
    assert "\x1b" not in written and "\u202e" not in written and "forged" in written
    ours = ("::warning::", "::error title=", "::group::log", "::endgroup::")
    assert [line for line in obeyed(written) if not line.startswith(ours)] == []


def test_an_error_that_quotes_a_hook_gives_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    failure.known(Refused(f"the hook said {EVIL}", hint=EVIL), failure.Wants(json=False, verbose=False))
    said = capsys.readouterr().err
    assert obeyed(said) == [] and "\x1b" not in said and "forged" in said
    failure.known(Refused(EVIL), failure.Wants(json=True, verbose=False))
    out = capsys.readouterr().out
    assert obeyed(out) == []
    assert json.loads(out)["error"]["message"] == harmless.plain(EVIL)


def test_the_job_summary_holds_no_control_sequence(tmp_path) -> None:
    append_summary(EVIL, {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary")})
    assert "\x1b" not in (tmp_path / "summary").read_text()


def test_colours_of_our_own_stay_on_the_lines_of_a_result() -> None:
    assert harmless.plain_but_coloured("\x1b[32m✓\x1b[0m a\x1b[2Jb\x07") == "\x1b[32m✓\x1b[0m ab"
