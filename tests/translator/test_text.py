"""Cleaning and splitting."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from translator.text import LONGEST_SENTENCE, clean, has_chinese, lay_out

MARKED = st.lists(
    st.sampled_from(
        ["Hello", "world", "</s>", "<pad>", "<unk>", "▁", "@@ ", " ##ing", " ", ",", ".", "## ", "x@@", "a b"]
    )
).map("".join)


@pytest.mark.parametrize(
    ("line", "cleaned"),
    [
        ("▁Good ▁morning .</s><pad><pad>", "Good morning."),
        ("<pad> I am here</s>", "I am here"),
        ("transla@@ tion ser@@ vice", "translation service"),
        ("transla ##tion", "translation"),
        ("cut off@@", "cut off"),
        ("## Title", "## Title"),
        ("a <b> tag", "a <b> tag"),
        ("  too   many  blanks ", "too many blanks"),
        ("<unk> [PAD] ok", "ok"),
        ("run ls . /tmp", "run ls. /tmp"),
        ("see .env and :name", "see .env and :name"),
        ("", ""),
    ],
)
def test_marks_are_removed_and_words_joined(line: str, cleaned: str) -> None:
    assert clean(line) == cleaned


@settings(deadline=None)
@given(MARKED)
def test_cleaning_twice_changes_nothing_and_leaves_no_mark(line: str) -> None:
    once = clean(line)
    assert clean(once) == once
    assert "▁" not in once and "</s>" not in once and "<pad>" not in once and "  " not in once


@pytest.mark.parametrize("text", ["你好", "a 中 b", "㐀", "𠀀"])
def test_han_characters_are_chinese(text: str) -> None:
    assert has_chinese(text)


@pytest.mark.parametrize("text", ["hello", "こんにちは", "123 。", ""])
def test_other_text_is_not(text: str) -> None:
    assert not has_chinese(text)


def test_sentences_are_split_at_their_ends_and_quotes_stay_with_them() -> None:
    assert lay_out("他说：“走吧！”然后走了。你呢？好").sentences() == ["他说：“走吧！”", "然后走了。", "你呢？", "好"]


def test_what_is_not_chinese_passes_through_in_its_place() -> None:
    layout = lay_out("你好。\n\n  print(1)\n再见。 OK!")
    assert layout.sentences() == ["你好。", "再见。"]
    assert layout.fill(["Hello.", "Goodbye."]) == "Hello.\n\nprint(1)\nGoodbye. OK!"


@settings(deadline=None)
@given(st.text(alphabet="中文，。！？“”（）a1 \n.…;；", min_size=1, max_size=400))
def test_no_character_but_blanks_is_lost_and_no_sentence_is_too_long(text: str) -> None:
    layout = lay_out(text)
    kept = "".join(part for line in layout.lines for part in line)
    assert kept.replace(" ", "") == "".join(text.split())
    assert all(len(part) <= LONGEST_SENTENCE for line in layout.lines for part in line)


@settings(deadline=None)
@given(st.text(alphabet="中，。！a \n", max_size=200))
def test_every_line_of_a_text_stays_a_line(text: str) -> None:
    layout = lay_out(text)
    filled = layout.fill(["x"] * len(layout.sentences()))
    assert len(filled.split("\n")) == max(len(text.strip().splitlines()), 1)
