"""The fallback: what it makes of sentences, and that any text gets through it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhost.loading.base import Loaded
from modelhost.serving.fallback import FALLBACK_VERSION
from translator.fallback import WORDS, Dictionary, dictionary, read_words
from translator.gloss import cut
from translator.rules import ordinal, plural
from translator.text import CHINESE

KINDS = {"x", "r", "n", "v", "vs", "mod", "a", "d", "q", "t", "b", "deg", "c", "prep", "loc", "m", "ord", "part", "neg"}


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return dictionary()


@pytest.mark.parametrize(
    ("chinese", "english"),
    [
        ("今天天气很好，我们去公园吧。", "Today weather is very good, we go to park."),
        ("你好！", "Hello!"),
        ("我爱你。", "I love you."),
        ("他们很高兴。", "They are very happy."),
        ("他不是学生，他是医生。", "He is not student, he is doctor."),
        ("我没有时间。", "I have no time."),
        ("她昨天没去学校。", "She yesterday did not go to school."),
        ("我不喜欢喝咖啡。", "I do not like drink coffee."),
        ("如果文件不存在，则会引发异常。", "If file does not exist, then will raise exception."),
    ],
)
def test_a_simple_sentence_can_be_understood(loaded: Loaded, chinese: str, english: str) -> None:
    assert loaded.model.translate([chinese]) == [english]


@pytest.mark.parametrize(
    ("chinese", "english"),
    [
        ("我有三本书和两只猫。", "I have three books and two cats."),
        ("那些孩子都很聪明。", "Those children are all very clever."),
        ("三杯茶", "Three cups of tea"),
        ("他只喝水。", "He only drink water."),
        ("两万五千块钱太贵了！", "25000 yuan is too expensive!"),
        ("这是我第一次来北京。", "This is I first time come Beijing."),
        ("2026年11月21日", "2026 November 21"),
        ("老师的书在桌子上。", "Teacher's book on table."),
        ("我的朋友喜欢漂亮的花。", "My friend like beautiful flower."),
        ("他把门打开了。", "He door open."),
        ("你是中国人吗。", "You are Chinese person?"),
        ("你呢", "And you"),
        ("你吃饭了吗", "You eat?"),
        ("我告诉他你不会来。", "I tell him you will not come."),
        ("“你好！”他说。", '"Hello!" He say.'),
    ],
)
def test_each_rule_does_what_it_says(loaded: Loaded, chinese: str, english: str) -> None:
    assert loaded.model.translate([chinese]) == [english]


def test_what_is_not_known_stays_where_it_was(loaded: Loaded) -> None:
    assert loaded.model.translate(["鑫鑫喜欢鼹鼠。"]) == ["鑫鑫 like 鼹鼠."]
    assert loaded.model.translate(["请运行 `docker ps -a` 命令，检查 release.yaml。"]) == [
        "Please run `docker ps -a` command, check release.yaml."
    ]


def test_it_is_declared_as_modelhost_takes_it(loaded: Loaded) -> None:
    assert (loaded.component, loaded.version, loaded.fallback) == ("model", FALLBACK_VERSION, True)
    assert loaded.entry.info.interface.shape == "translation/1"
    assert loaded.entry.info.files[0].path == "dictionary.tsv"


def test_the_dictionary_is_whole() -> None:
    words = read_words(WORDS)
    assert len(words) > 400
    for chinese, kinds in words.items():
        assert CHINESE.match(chinese) and chinese == chinese.strip()
        assert set(kinds) <= KINDS, chinese
        assert all(english.isascii() and english == english.strip() for english in kinds.values()), chinese
        assert all(english or kind in ("m", "part") for kind, english in kinds.items()), chinese


def test_a_line_that_is_no_word_is_named(tmp_path: Path) -> None:
    file = tmp_path / "words.tsv"
    file.write_text("# words\n你好\thello\tx\n再见 bye\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"words\.tsv, line 3: not Chinese, English and kind"):
        read_words(file)
    file.write_text("你好\thello\tx\n你好\thi\tx\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"line 2: 你好 .* there already"):
        read_words(file)


KNOWN = read_words(WORDS)
MODEL = Dictionary(KNOWN)
SENTENCES = st.lists(
    st.one_of(st.sampled_from(sorted(KNOWN)), st.text(max_size=4), st.sampled_from("一二十百。，？“” 12a"))
).map("".join)


@settings(deadline=None)
@given(st.lists(SENTENCES, max_size=4))
def test_any_text_gets_a_line_and_always_the_same(sentences: list[str]) -> None:
    lines = MODEL.translate(sentences)
    assert len(lines) == len(sentences)
    assert lines == MODEL.translate(sentences)


@settings(deadline=None)
@given(SENTENCES)
def test_cutting_loses_nothing_but_white_space(sentence: str) -> None:
    tokens = cut(sentence, KNOWN)
    assert "".join(token.source for token in tokens) == "".join(sentence.split())


def test_without_any_word_everything_stays() -> None:
    assert Dictionary({}).translate(["我爱 tea。"]) == ["我爱 tea."]


def test_english_endings() -> None:
    assert [plural(noun) for noun in ("book", "box", "city", "day", "child", "news")] == [
        *("books", "boxes", "cities", "days", "children", "news")
    ]
    assert [ordinal(value) for value in (1, 3, 10, 11, 12, 21, 22, 113)] == [
        *("first", "third", "tenth", "11th", "12th", "21st", "22nd", "113th")
    ]
