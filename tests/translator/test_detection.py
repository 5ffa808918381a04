"""Detection: scripts, and no more certainty than a script gives."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from translator.detection import detect
from translator.text import has_chinese


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("今天天气很好。", "zh"),
        ("我在 GitHub 上看到 3 个新问题", "zh"),
        ("Please read 你好", "zh"),
        ("我爱喝优の良品的牛奶和果汁饮料", "zh"),
        ("これは日本語です", "ja"),
        ("東京タワー", "ja"),
        ("안녕하세요 세계", "ko"),
        ("Good morning", "en"),
        ("Привет, мир", "und"),
        ("مرحبا", "und"),
        ("12:30 — 100 %", "en"),
        ("", "en"),
    ],
)
def test_the_script_tells(text: str, language: str) -> None:
    assert detect(text).language == language


def test_a_longer_text_is_surer_and_a_mixed_one_less() -> None:
    assert [detect("你" * length).confidence for length in (1, 4, 10, 99)] == [50.0, 80.0, 90.9, 99.0]
    assert detect("今天天气 very good").confidence < detect("今天天气").confidence


def test_latin_letters_are_never_more_than_a_guess_and_nothing_is_none() -> None:
    assert detect("Bonjour le monde, comment allez-vous ?").confidence < 50
    assert detect("English is written like this " * 50).confidence <= 50
    assert detect("123").confidence == 0


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_has_an_answer_and_what_holds_chinese_is_chinese_japanese_or_korean(text: str) -> None:
    found = detect(text)
    assert 0 <= found.confidence <= 100
    assert (found.language in ("zh", "ja", "ko")) >= has_chinese(text)
