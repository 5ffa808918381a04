"""Quantities as people write them in a manifest: `30s`, `800ms`, `2g`, `1%`. Parsed once, kept as plain numbers."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_AMOUNT = r"([0-9]{1,18}(?:\.[0-9]+)?)\s*"
_DURATION = re.compile(rf"{_AMOUNT}(ms|s|m|h|d)")
_SIZE = re.compile(rf"{_AMOUNT}(?:([kmgt])i?)?b?", re.IGNORECASE | re.ASCII)
_LONGEST = 1e9  # seconds, some thirty years; what is longer, or no number, is a mistake
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def seconds(value: Any) -> float:
    """`800ms` → 0.8; a bare number is seconds. Raises ValueError naming the accepted forms."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _LONGEST:
        return float(value)
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    length = float(match[1]) * _SECONDS[match[2]] if match is not None else _LONGEST
    if length >= _LONGEST:
        raise ValueError(f"{value!r} is no duration; write a number and ms, s, m, h or d, such as 30s or 1.5m")
    return length


def size(value: Any) -> int:
    """`2g` → 2147483648 (powers of 1024); a bare number is bytes."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is no size; write a number and k, m, g or t, such as 512m or 2g")
    return int(float(match[1]) * _BYTES[(match[2] or "").lower()])


def ratio(value: Any) -> float:
    """`1%` → 0.01; a bare number is a fraction from 0 to 1. A bare `1` is refused: who writes it means one per cent."""
    if value == 1 and isinstance(value, int) and not isinstance(value, bool):
        raise ValueError("1 could be a hundredth or everything; write 1% or 100%")
    if isinstance(value, str) and value.strip().endswith("%"):
        try:
            value = float(value.strip()[:-1]) / 100
        except ValueError:
            raise ValueError(f"{value!r} is no percentage; write for example 1% or 0.01") from None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{value!r} is no fraction from 0 to 1; write for example 1% or 0.01")
    return float(value)


def show_seconds(value: float) -> str:
    """A short spelling that reads back as exactly this value: 0.8 → `800ms`, 1800 → `30m`."""
    for unit, length in reversed(_SECONDS.items()):
        text = f"{round(value / length)}{unit}"
        if value >= length and seconds(text) == value:
            return text
    return "0s" if value == 0 else f"{Decimal(repr(value)):f}s"


def show_size(value: int) -> str:
    for unit in ("t", "g", "m", "k"):
        if value >= _BYTES[unit] and value % _BYTES[unit] == 0:
            return f"{value // _BYTES[unit]}{unit}"
    return str(value)


_TEXT = {"anyOf": [{"type": "string"}, {"type": "number"}]}
Seconds = Annotated[
    float,
    BeforeValidator(seconds),
    PlainSerializer(show_seconds),
    WithJsonSchema(_TEXT | {"examples": ["30s", "800ms"]}),
]
Bytes = Annotated[
    int, BeforeValidator(size), PlainSerializer(show_size), WithJsonSchema(_TEXT | {"examples": ["512m", "2g"]})
]
Fraction = Annotated[float, BeforeValidator(ratio), WithJsonSchema(_TEXT | {"examples": ["1%", 0.01]})]
