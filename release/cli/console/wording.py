"""Words and signs that all reporters share. Pure text; no terminal is touched here."""

from __future__ import annotations

from release.cli.console import harmless
from release.ledger.records import StepState

SIGNS = {
    StepState.DONE: "✓",
    StepState.SKIPPED: "–",
    StepState.FAILED: "✗",
    StepState.UNDONE: "↩",
    StepState.UNDO_FAILED: "✗",
}
COLOURS = {
    StepState.DONE: "green",
    StepState.SKIPPED: "bright_black",
    StepState.FAILED: "red",
    StepState.UNDONE: "yellow",
    StepState.UNDO_FAILED: "red",
}
LEVELS = {"info": "·", "warning": "!", "error": "✗"}
LEVEL_COLOURS = {"info": "", "warning": "yellow", "error": "red"}
GOOD_ENDS = ("live", "rolled back", "unchanged", "accepted", "aborted")


def seconds(value: float | None) -> str:
    """`0.3 s`, `12 s`, `3 min 05 s`, `2 h 10 min`; empty for None."""
    if value is None:
        return ""
    if value < 9.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def clock(value: float) -> str:
    """Elapsed time at the head of a line, all of one width: `  0:07`, `12:34`, `1:02:03`."""
    whole = int(value)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}".rjust(6)
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def one_line(text: str) -> str:
    """Text from outside (a build's output) without what would move a cursor."""
    return " ".join("".join(c if c.isprintable() else " " for c in harmless.plain(text)).split())
