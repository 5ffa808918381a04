"""GitHub Actions: annotations, folded groups, the job summary and the step's outputs.

Workflow commands are lines that the runner reads from either stream; they go to stderr: stdout stays the result.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from release.cli.console import harmless
from release.cli.console.annotation import annotation, message
from release.cli.console.reporter import Reporter
from release.ledger.records import StepState
from release.pipeline.events import Event, Excerpt, Said, StepEnded, VerdictGiven
from release.verdict import Outcome

SUMMARY_BYTES = 1 << 20  # GitHub refuses a longer one whole


def append_outputs(values: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> None:
    """Sets the step's outputs in the heredoc form, with a delimiter that no value can hold."""
    if path := environ.get("GITHUB_OUTPUT"):
        with Path(path).open("a", encoding="utf-8") as file:
            for name, value in values.items():
                delimiter = f"end-{secrets.token_hex(12)}"
                file.write(f"{name}<<{delimiter}\n{value}\n{delimiter}\n")


def append_summary(markdown: str, environ: Mapping[str, str] = os.environ) -> None:
    """Adds Markdown to the job summary; what would go beyond GitHub's limit is left out, and said."""
    if path := environ.get("GITHUB_STEP_SUMMARY"):
        file = Path(path)
        room = SUMMARY_BYTES - (file.stat().st_size if file.exists() else 0)
        with file.open("ab") as stream:
            stream.write(_within(harmless.plain(markdown).rstrip() + "\n\n", room))


def _within(text: str, room: int) -> bytes:
    content = text.encode()
    if len(content) <= room:
        return content
    note = b"\n\n(cut here: the whole is in `release report`)\n"
    if room <= len(note):
        return b""
    return content[: room - len(note)].decode(errors="ignore").encode() + note


class GitHub:
    """Wraps another reporter: the same lines, logs folded away, and what went wrong as annotations."""

    def __init__(self, inner: Reporter, stream: TextIO) -> None:
        self._inner, self._stream = inner, stream

    def __call__(self, event: Event) -> None:
        if isinstance(event, Excerpt):
            self._write(f"::group::{message(event.title)}")
        self._inner(event)
        if isinstance(event, Excerpt):
            self._write("::endgroup::")
        self._annotate(event)

    def close(self) -> None:
        self._inner.close()

    def _annotate(self, event: Event) -> None:
        match event:
            case Said(level="warning" | "error"):
                self._write(annotation(event.level, event.text))
            case VerdictGiven() if event.verdict.outcome is Outcome.FAIL:
                self._write(annotation("error", event.verdict.reason, f"{event.verdict.check} refused"))
            case VerdictGiven() if event.verdict.outcome is Outcome.NO_DATA:
                self._write(annotation("warning", event.verdict.reason, f"{event.verdict.check} could not tell"))
            case StepEnded(state=StepState.UNDO_FAILED):
                self._write(annotation("error", event.detail, f"{event.step} could not be undone"))

    def _write(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()
