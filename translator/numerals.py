"""Chinese numerals as numbers. Pure."""

from __future__ import annotations

import re

DIGITS = {digit: value for value, digit in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
UNITS = {"十": 10, "百": 100, "千": 1000}
LARGE = {"万": 10_000, "亿": 100_000_000}
NUMERAL = re.compile("[零〇一二两三四五六七八九十百千万亿]{1,16}")  # longer ones are no number that anybody wrote


def number(numeral: str) -> int | None:
    """`一百二十三` is 123, `二〇二六` is 2026, `两万五` is 25,000; None for what is no number."""
    if all(character in DIGITS for character in numeral):
        return int("".join(str(DIGITS[character]) for character in numeral)) if numeral else None
    total = section = digit = 0
    unit = 1  # of the last character, for a digit that ends the numeral: the 五 of 两万五 is 5,000
    for character in numeral:
        if character in DIGITS:
            if digit:
                return None
            digit = DIGITS[character]
            unit = 1 if digit == 0 else unit
        elif character in UNITS:
            section += (digit or 1) * UNITS[character]
            digit, unit = 0, UNITS[character]
        elif character in LARGE:
            if total + section + digit == 0:
                return None
            whole = section + digit
            total = (total + whole) * LARGE[character] if character == "亿" else total + whole * LARGE[character]
            section = digit = 0
            unit = LARGE[character]
        else:
            return None
    return total + section + digit * (unit // 10 if unit >= 100 else 1)
