"""What one value may be, compared in two schemas: its type, format, limits and enum, and whether it may be null.

What it is made of, properties and items, is compared in `schemas`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from release.checks.changes import Change, Way, breaking, info, warning
from release.checks.shapes import LIMITS, LOWER, UPPER, Shape

_WIDER = {("int32", "int64")}  # formats of which the second takes all that the first does


def compare(old: Shape, new: Shape, way: Way) -> Iterator[Change]:
    """All of it but types and null, of two shapes whose types go together."""
    yield from _formats(old, new, way)
    yield from _enums(old, new, way)
    yield from _limits(old, new, way)
    yield from _others(old, new)


def nullable(old: Shape, new: Shape, way: Way) -> Iterator[Change]:
    """Whether it may be null."""
    if old.nullable != new.nullable:
        worse = old.nullable if way is Way.INPUT else new.nullable
        yield (breaking if worse else info)("", "can now be null" if new.nullable else "can no longer be null")


def types(old: Shape, new: Shape, way: Way) -> Iterator[Change]:
    """Where this breaks, nothing else of the two can be held against each other."""
    if old.types == new.types:
        return
    narrow, wide = (old.types, new.types) if way is Way.INPUT else (new.types, old.types)
    fits = wide is None or (
        narrow is not None and all(t in wide or (t == "integer" and "number" in wide) for t in narrow)
    )
    yield (info if fits else breaking)("", f"type was {_kinds(old.types)}, is now {_kinds(new.types)}")


def _kinds(types: frozenset[str] | None) -> str:
    return "anything" if types is None else " or ".join(sorted(types)) or "nothing"


def _formats(old: Shape, new: Shape, way: Way) -> Iterator[Change]:
    if old.format == new.format:
        return
    narrow, wide = (old.format, new.format) if way is Way.INPUT else (new.format, old.format)
    harmless = wide is None or (narrow, wide) in _WIDER
    text = f"format was {old.format or 'free'}, is now {new.format or 'free'}"
    yield (info if harmless else breaking)("", text)


def _enums(old: Shape, new: Shape, way: Way) -> Iterator[Change]:
    if old.enum is None and new.enum is None:
        return
    if old.enum is None:
        yield (breaking if way is Way.INPUT else info)("", f"is now limited to {show(new.enum)}")
    elif new.enum is None:
        yield (info if way is Way.INPUT else warning)("", f"is no longer limited to {show(old.enum)}")
    else:
        for value in (value for value in old.enum if value not in new.enum):
            yield breaking("", f"enum value {show(value)} was removed")
        for value in (value for value in new.enum if value not in old.enum):
            yield (info if way is Way.INPUT else warning)("", f"enum value {show(value)} was added")


def _limits(old: Shape, new: Shape, way: Way) -> Iterator[Change]:
    """Tighter limits break those who send, looser ones may surprise those who receive."""
    for key in sorted(LIMITS & (old.limits.keys() | new.limits.keys())):
        was, now = old.limits.get(key), new.limits.get(key)
        if was == now:
            continue
        text = f"{key} was {show(was)}, is now {show(now)}"
        tighter = _tighter(key, was, now)
        if way is Way.INPUT:
            yield (breaking if tighter else info)("", text)
        else:
            yield (info if tighter and now is not None else warning)("", text)


def _tighter(key: str, was: Any, now: Any) -> bool:
    if now is None:
        return False
    if was is None:
        return True
    if key in LOWER:
        return bool(now > was)
    if key in UPPER:
        return bool(now < was)
    if key == "multipleOf":
        return not float(was / now).is_integer()
    return True


def _others(old: Shape, new: Shape) -> Iterator[Change]:
    for key in sorted(old.other.keys() | new.other.keys()):
        if old.other.get(key) != new.other.get(key):
            yield breaking("", f"{key} was changed, in a way that is not understood here")


def show(value: Any) -> str:
    """A value as JSON has it; `absent` where there is none."""
    return "absent" if value is None else json.dumps(value, ensure_ascii=False)
