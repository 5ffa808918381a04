"""A hint in the words of HTTP: what code of a service writes as an argument or a call is a key of a body, or a path."""

from __future__ import annotations

import re

_WORDS = (
    (re.compile(r"\btogether=True\b"), '"together": true'),
    (re.compile(r"\brestore (\S+) (\S+) first\b"), r"restore it first (POST /restore/\1 {version, reason})"),
)


def spoken(hint: str) -> str:
    """The same hint, for who sends requests."""
    for code, ours in _WORDS:
        hint = code.sub(ours, hint)
    return hint
