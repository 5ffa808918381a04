"""Example pairs of an adapter, and how what came out differs from what should have."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MOST_LINES = 40


@dataclass(frozen=True, slots=True)
class Example:
    """`given` an answer or a request in the adapter's source shape, it `gives` this one in its target shape."""

    given: Mapping[str, Any]
    gives: Mapping[str, Any]


def difference(expected: Mapping[str, Any], got: Mapping[str, Any]) -> str:
    """A unified diff of the two as JSON, sorted by key; empty where they are the same. `1` and `true` differ."""
    before, after = _lines(expected), _lines(got)
    if before == after:
        return ""
    lines = list(difflib.unified_diff(before, after, "expected", "came out", lineterm="", n=2))
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"… {len(lines) - _MOST_LINES} more lines"]
    return "\n".join(lines)


def _lines(value: Mapping[str, Any]) -> list[str]:
    return json.dumps(dict(value), indent=2, sort_keys=True, ensure_ascii=False, default=repr).splitlines()
