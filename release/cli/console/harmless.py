"""Text that this project did not write (a build's, a hook's, a container's, a service's), made harmless to show.

What would move a cursor, colour a terminal or hide text goes; a line that GitHub's runner would obey is told instead.
"""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from typing import Any

_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c|(?=\n)|$)"  # OSC, DCS …: titles, links
    r"|\x1b[ -/]*[0-~]?"
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_OVERWRITTEN = re.compile(r"[^\n\r]*\r(?=[^\n\r])")  # a progress bar: what is behind its last return is what shows
# Control characters other than tab and line end, and those that turn the direction of writing.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# The runner reads `::command::` at the start of a line, behind blanks too, and `##[command]` anywhere in it.
_COMMAND = re.compile(r"^(\s*):(?=:)", re.MULTILINE)


def plain(text: str) -> str:
    """`text` without control sequences and control characters; tabs and line ends stay."""
    if text.isprintable():
        return text
    return _CONTROL.sub("", _OVERWRITTEN.sub("", _SEQUENCE.sub("", text)))


def plain_but_coloured(text: str) -> str:
    """As `plain`, for lines that carry colours of our own."""
    parts = _COLOUR.split(text)
    colours = [*_COLOUR.findall(text), ""]
    return "".join(plain(part) + colour for part, colour in zip(parts, colours, strict=True))


def no_command(text: str) -> str:
    """`text` in which no line is a workflow command: `::error::` reads `: :error::`, `##[error]` reads `## [error]`."""
    return _COMMAND.sub(r"\1: ", text).replace("##[", "## [")


def of(value: Any) -> Any:
    """An event, verdict, list or mapping with every text in it `plain`; anything else as it is."""
    if isinstance(value, str):
        return plain(value) if type(value) is str else value  # members of a StrEnum are our own words
    if isinstance(value, dict):
        return {of(key): of(item) for key, item in value.items()}
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(of(item) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: of(getattr(value, field.name)) for field in fields(value) if field.init})
    return value
