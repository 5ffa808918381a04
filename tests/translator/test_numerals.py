"""Chinese numerals."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from translator.numerals import number


@pytest.mark.parametrize(
    ("numeral", "value"),
    [
        ("零", 0),
        ("十", 10),
        ("十二", 12),
        ("二十", 20),
        ("一百零五", 105),
        ("一百二十三", 123),
        ("三千五", 3500),
        ("两万五", 25_000),
        ("两万零五", 20_005),
        ("二〇二六", 2026),
        ("一亿三千万", 130_000_000),
        ("十万", 100_000),
    ],
)
def test_a_numeral_is_its_number(numeral: str, value: int) -> None:
    assert number(numeral) == value


@pytest.mark.parametrize("text", ["", "万", "三五百", "你", "一百你"])
def test_what_is_no_numeral_is_none(text: str) -> None:
    assert number(text) is None


@settings(deadline=None)
@given(st.integers(0, 99_999_999))
def test_every_number_that_is_written_out_is_read_back(value: int) -> None:
    assert number(spelled(value)) == value


def spelled(value: int) -> str:
    """A number in full, with every unit and 零 for a gap."""
    if value >= 10_000:
        rest = value % 10_000
        return spelled(value // 10_000) + "万" + ("" if not rest else ("零" if rest < 1000 else "") + spelled(rest))
    text, gap = "", False
    for unit, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = value // unit % 10
        if digit:
            text += ("零" if gap and text else "") + "零一二三四五六七八九"[digit] + name
        gap = digit == 0
    return text or "零"
