"""HTML: what is translated, and that nothing else of it changes."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from translator.markup import read_markup


def english(source: str) -> str:
    """The document with its texts counted: `One`, `Two` …"""
    markup = read_markup(source)
    return markup.fill(["One", "Two", "Three", "Four", "Five"][: len(markup.texts())])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("你好", "One"),
        ('<p class="a">你好</p>', '<p class="a">One</p>'),
        ("<p>\n  你好\t</p>", "<p>\n  One\t</p>"),
        ("&nbsp;你好&#160;", "&nbsp;One&#160;"),
        ("<p>你<br>好<img alt='图'>", "<p>One<br>Two<img alt='图'>"),
        ("<a href='?a=1&b=2' title='你'>你</a>", "<a href='?a=1&b=2' title='你'>One</a>"),
        ("<!-- 你 --><!DOCTYPE html><?php 你 ?>好", "<!-- 你 --><!DOCTYPE html><?php 你 ?>One"),
        ("<script>x='你'</script><style>你</style>好", "<script>x='你'</script><style>你</style>One"),
        ("<p translate='no'>你<b>好</b></p>好", "<p translate='no'>你<b>好</b></p>One"),
        ("<i class='a notranslate'>你</i>好", "<i class='a notranslate'>你</i>One"),
        ("<textarea>你</textarea><title>好</title>", "<textarea>One</textarea><title>Two</title>"),
        ("Hello &amp; <b>bye</b>", "Hello &amp; <b>bye</b>"),
        ("你 < 好 <b", "One"),
    ],
)
def test_what_stands_between_tags_is_translated_and_all_else_stays(source: str, expected: str) -> None:
    assert english(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("今天<b>天气</b>很好", "One <b>Two </b>Three"),
        ("<b>你</b>GitHub", "<b>One </b>GitHub"),
        ("GitHub<b>你</b>", "GitHub<b> One</b>"),
        ("你<b> 好</b>", "One<b> Two</b>"),
        ("(<b>你</b>)", "(<b>One</b>)"),
        ("<b>你</b>.", "<b>One</b>."),
        ("<td>你</td><td>好</td>", "<td>One</td><td>Two</td>"),
        ("<b>你</b><br><b>好</b>", "<b>One</b><br><b>Two</b>"),
    ],
)
def test_words_that_chinese_writes_without_a_space_get_one_in_english(source: str, expected: str) -> None:
    assert english(source) == expected


def test_a_text_is_seen_as_a_reader_sees_it() -> None:
    assert read_markup("<p>如果\n   文件 &lt;a&gt;\n 不存在，\n则&#20320;</p>").texts() == ["如果文件 <a> 不存在，则你"]
    assert read_markup("<pre>如果\n  你</pre>").texts() == ["如果\n  你"]
    assert read_markup("<p>你<b>好</b> a</p>").plain == "你 好  a"


def test_what_a_model_says_is_text_and_never_markup() -> None:
    assert read_markup("<p>你</p>").fill(["<script>alert(1)</script> & more"]) == (
        "<p>&lt;script&gt;alert(1)&lt;/script&gt; &amp; more</p>"
    )


class Tags(HTMLParser):
    """The tags of a document, as written."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(self.get_starttag_text() or "")

    def handle_endtag(self, tag: str) -> None:
        self.found.append(f"/{tag}")


PIECES = [
    "你好",
    "abc",
    " ",
    "\n",
    "<",
    ">",
    "&",
    "&amp;",
    "&#20320;",
    "&lt",
    "<b>",
    "</b>",
    "<p a='>你'>",
    "</p>",
    "<br/>",
]
PIECES += [
    "<!--",
    "-->",
    "<![",
    "<![CDATA[",
    "]]>",
    "<!",
    "<?",
    "<script>",
    "</script>",
    "<pre>",
    "</",
    "'",
    '"',
    "<i ",
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_no_document_however_broken_loses_anything_that_is_not_translated(source: str) -> None:
    markup = read_markup(source)
    assert "".join(span.source for span in markup.spans) == source
    if not markup.texts():
        assert markup.fill([]) == source


@settings(deadline=None)
@given(st.lists(st.sampled_from([p for p in PIECES if "!" not in p and "?" not in p]), max_size=14).map("".join))
def test_the_tags_after_are_the_tags_before(source: str) -> None:
    markup = read_markup(source)
    assert Tags(markup.fill(["word"] * len(markup.texts()))).found == Tags(source).found
