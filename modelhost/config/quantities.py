"""Sizes, durations and shares as a person writes them: `2GiB`, `10m`, `5%`."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

_SIZES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZES |= {"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SHARE_UNIT = 10_000  # millionths in one percent
_AMOUNT = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([A-Za-z%]*)")


def size(value: Any) -> int:
    """Bytes: `2GiB`, `500MB`, or a whole number of them. Raises ValueError."""
    amount, unit = _parts(value, "a size such as 2GiB or 500MB")
    if unit.upper() not in _SIZES and unit:
        raise ValueError(f"has the unit {unit}; write a size such as 2GiB or 500MB")
    return int(amount * _SIZES[unit.upper() or "B"])


def seconds(value: Any) -> float:
    """Seconds: `90s`, `10m`, `2h`, `1d`. A number without a unit is refused. Raises ValueError."""
    amount, unit = _parts(value, "a duration such as 90s or 10m")
    if unit not in _SECONDS:
        raise ValueError(f"has {'the unit ' + unit if unit else 'no unit'}; write a duration such as 90s or 10m")
    return amount * _SECONDS[unit]


def share(value: Any) -> int:
    """Millionths of the traffic: `10%` is 100,000. Raises ValueError."""
    amount, unit = _parts(value, "a share such as 10%")
    if unit != "%" or amount > 100:
        raise ValueError("is not a share from 0% to 100%; write it like 10%")
    return round(amount * _SHARE_UNIT)


def _parts(value: Any, expected: str) -> tuple[float, str]:
    found = _AMOUNT.fullmatch(str(value).strip()) if not isinstance(value, bool) else None
    if found is None:
        raise ValueError(f"is not {expected}")
    return float(found[1]), found[2]


Size = Annotated[int, BeforeValidator(size), Field(gt=0)]
Seconds = Annotated[float, BeforeValidator(seconds), Field(gt=0)]
Share = Annotated[int, BeforeValidator(share)]
