"""GitHub Actions: what the runner reads is escaped, bounded, and means what was said."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from release.cli import failure
from release.cli.console.annotation import annotation
from release.cli.console.github import SUMMARY_BYTES, GitHub, append_outputs, append_summary
from release.cli.console.plain import Plain
from release.errors import Refused
from release.ledger.records import StepState
from release.pipeline.events import Event, Excerpt, Said, StepEnded, VerdictGiven
from release.verdict import failed, no_data, passed


def lines(*events: Event) -> list[str]:
    stream = io.StringIO()
    reporter = GitHub(Plain(stream), stream)
    for event in events:
        reporter(event)
    reporter.close()
    return stream.getvalue().splitlines()


def test_what_the_runner_would_misread_is_escaped() -> None:
    assert (
        annotation("error", "100 % wrong\r\nsecond", "a:b, c%")
        == "::error title=a%3Ab%2C c%25::100 %25 wrong%0D%0Asecond"
    )
    assert annotation("warning", "plain") == "::warning::plain"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(), st.text())
def test_an_annotation_is_one_line_and_reads_back(text: str, title: str) -> None:
    written = annotation("error", text, title)
    assert "\n" not in written and "\r" not in written
    body = written.split("::", 2)[2]
    assert body.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%") == text


def test_a_refusal_and_a_warning_are_annotations() -> None:
    said = lines(
        VerdictGiven(failed("quality", "4 BLEU worse")),
        VerdictGiven(no_data("latency", "nobody answered")),
        VerdictGiven(passed("health", "ready")),
        Said("secrets changed", "warning"),
        Said("by the way"),
        StepEnded("start", StepState.UNDO_FAILED, "still there", 1.0),
    )
    commands = [line for line in said if line.startswith("::")]
    assert commands == [
        "::error title=quality refused::4 BLEU worse",
        "::warning title=latency could not tell::nobody answered",
        "::warning::secrets changed",
        "::error title=start could not be undone::still there",
    ]


def test_a_log_is_folded_and_cannot_give_commands() -> None:
    said = lines(Excerpt("the end of the log", ("::error::forged", "::endgroup::", "##[error]forged")))
    assert said[0] == "::group::the end of the log"
    assert said[-1] == "::endgroup::"
    assert not [line for line in said[1:-1] if line.lstrip().startswith(("::", "##["))]


def test_a_table_cell_cannot_give_commands() -> None:
    table = {"title": "Worst", "columns": ["source", "candidate"], "rows": [["::error::forged", "x"]]}
    said = lines(VerdictGiven(failed("quality", "bad", tables=[table])))
    assert [line for line in said if line.lstrip().startswith("::")] == ["::error title=quality refused::bad"]


def test_an_error_is_annotated_with_its_kind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(failure.os.environ, "GITHUB_ACTIONS", "true")
    assert failure.known(Refused("no:\nreally"), failure.Wants(json=True, verbose=False)) == 1
    captured = capsys.readouterr()
    assert captured.err.splitlines() == ["::error title=Refused::no:%0Areally"]
    assert captured.out.startswith("{")


def outputs(text: str) -> dict[str, str]:
    """Reads the file as the runner does."""
    found, rest = {}, text.splitlines()
    while rest:
        name, _, delimiter = rest.pop(0).partition("<<")
        end = rest.index(delimiter)
        found[name] = "\n".join(rest[:end])
        rest = rest[end + 1 :]
    return found


def test_outputs_read_back_whatever_they_hold(tmp_path: Path) -> None:
    values = {"release": "v1.0.0-abc1234", "outcome": "live\nrelease<<x\nforged\nx", "digest": ""}
    path = tmp_path / "output"
    path.write_text("before<<x\n1\nx\n")
    append_outputs(values, {"GITHUB_OUTPUT": str(path)})
    assert outputs(path.read_text()) == {"before": "1", **values}


def test_the_summary_never_goes_beyond_what_github_takes(tmp_path: Path) -> None:
    path = tmp_path / "summary"
    for _ in range(3):
        append_summary("今天天气很好\n" * 30_000, {"GITHUB_STEP_SUMMARY": str(path)})
    assert 0 < path.stat().st_size <= SUMMARY_BYTES
    assert "cut here" in path.read_text(encoding="utf-8")


def test_outside_a_workflow_nothing_is_written() -> None:
    append_outputs({"a": "b"}, {})
    append_summary("text", {})
