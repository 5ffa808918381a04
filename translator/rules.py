"""The few rules that make a row of glossed words readable: what is counted, owned, placed, denied, asked. Pure.

Each takes the tokens of a sentence and gives them changed; `RULES` is their order. They know no grammar beyond the
word before and the word behind.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from translator.gloss import Token

MONTHS: tuple[str, ...] = ("January", "February", "March", "April", "May", "June", "July")
MONTHS += ("August", "September", "October", "November", "December")
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
POSSESSIVE = {"I": "my", "you": "your", "he": "his", "she": "her", "it": "its", "we": "our", "they": "their"}
OBJECT = {"I": "me", "he": "him", "she": "her", "we": "us", "they": "them"}
MANY = {"we", "you", "they", "people", "children", "clothes", "parents", "glasses", "shoes", "trousers"}
PLURALS = {"person": "people", "child": "children", "man": "men", "woman": "women", "foot": "feet", "shelf": "shelves"}
UNCOUNTED = {"beef", "beer", "bread", "coffee", "fish", "fruit", "luggage", "meat", "milk", "money", "music", "news"}
UNCOUNTED |= {"rice", "tea", "traffic", "water", "work", "yuan"}
MANY_OF = {"these", "those", "several", "many", "some", "all"}

THING = ("n", "r", "p", "latin", "unknown")  # what can be the subject of an adjective
GROUP = ("n", "p", "a", "d", "number", "m", "latin", "unknown")  # what belongs to the place before 里, 上, 下
BEFORE_ADJECTIVE = ("b", "deg", "neg")
NONE = Token("", "", "none")
Tokens = list[Token]


def at(tokens: Tokens, index: int) -> Token:
    """The token there, or `NONE` beyond either end."""
    return tokens[index] if 0 <= index < len(tokens) else NONE


def be(subject: Token) -> str:
    """am, are or is; the value of a noun says how many there are, as far as is known."""
    if subject.english == "I":
        return "am"
    return "are" if subject.english in MANY or subject.value >= 2 else "is"


def dated(tokens: Tokens) -> Tokens:
    """3月 is March, 2026年 is 2026, 第三 is third."""
    out: Tokens = []
    for token in tokens:
        last = at(out, len(out) - 1)
        if token.source == "月" and last.kind == "number" and 1 <= last.value <= 12:
            out[-1] = replace(last, english=MONTHS[last.value - 1])
        elif token.source == "年" and last.kind == "number" and last.value >= 1000:
            continue
        elif token.kind == "number" and last.kind == "ord" and token.value >= 1:
            out[-1] = replace(token, english=ordinal(token.value), value=1)
        else:
            out.append(token)
    return out


def ordinal(value: int) -> str:
    """first … tenth, 11th, 21st."""
    if value <= len(ORDINALS):
        return ORDINALS[value - 1]
    ending = "th" if value % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")
    return f"{value}{ending}"


def counted(tokens: Tokens) -> Tokens:
    """A measure word says nothing in English; where nothing is counted, it is no measure word and not known."""
    out: Tokens = []
    for token in tokens:
        last = at(out, len(out) - 1)
        if token.kind != "m":
            out.append(token)
        elif token.english and last.kind in ("number", "d"):
            one = re.sub(r"s\b", "", token.english, count=1)  # years old → year old
            out.append(replace(token, english=one if last.value == 1 else token.english))
        elif last.kind not in ("number", "d") and token.source != "把":  # 把 also marks an object
            out.append(replace(token, english=token.source, kind="unknown"))
    return out


def several(tokens: Tokens) -> Tokens:
    """三本书 is three books, 那些孩子 those children."""
    out: Tokens = []
    for token in tokens:
        before = next((each for each in reversed(out) if each.kind not in ("m", "a", "deg", "p")), NONE)
        many = before.value >= 2 or before.english in MANY_OF
        if many and token.kind == "n" and token.english not in UNCOUNTED:
            token = replace(token, english=plural(token.english), value=2)
        out.append(token)
    return out


def plural(noun: str) -> str:
    """The plural of an English noun, as far as an ending goes."""
    if noun in PLURALS or noun[-1:] == "s":
        return PLURALS.get(noun, noun)
    if noun[-1:] == "y" and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("x", "ch", "sh")) else "s")


def owned(tokens: Tokens) -> Tokens:
    """我的 is my, 老师的书 is teacher's book; any other 的 says nothing."""
    out: Tokens = []
    for index, token in enumerate(tokens):
        if token.source != "的":
            out.append(token)
            continue
        last, behind = at(out, len(out) - 1), at(tokens, index + 1)
        if last.kind == "r":
            out[-1] = replace(last, english=POSSESSIVE.get(last.english, last.english), kind="p")
        elif last.kind in ("n", "t", "latin") and behind.kind in ("n", "a", "unknown", "latin"):
            out[-1] = replace(last, english=last.english + "'s", kind="p")
    return out


def placed(tokens: Tokens) -> Tokens:
    """在桌子上 is on table: English has the place word before its noun."""
    out: Tokens = []
    for token in tokens:
        start = len(out)
        while token.kind == "loc" and start > 0 and out[start - 1].kind in GROUP:
            start -= 1
        if start < len(out):
            if at(out, start - 1).source == "在":
                out[start - 1] = replace(token, kind="prep")
            else:
                out.insert(start, replace(token, kind="prep"))
        else:
            out.append(token)
    return out


def denied(tokens: Tokens) -> Tokens:
    """不去 is do not go, 没去 did not go, 没有时间 have no time, 不可能 may not; before an adjective it is not."""
    out: Tokens = []
    for index, token in enumerate(tokens):
        behind, last = at(tokens, index + 1), at(out, len(out) - 1)
        if last.kind == "neg" and token.kind == "mod":
            out.insert(len(out) - 1, token)
        elif token.kind == "neg" and token.english == "not" and behind.kind in ("v", "vs") and behind.source != "是":
            auxiliary = "did" if token.source != "不" else "do" if be(last) != "is" else "does"
            out.append(replace(token, english=f"{auxiliary} not"))
        elif token.source == "没有" and behind.kind not in ("a", "deg", "b"):
            out.append(Token("没有", "have no", "v"))
        elif token.source == "不要" and behind.kind not in ("v", "vs", "mod"):
            out.append(Token("不要", "do not want", "v"))
        else:
            out.append(token)
    return out


def linked(tokens: Tokens) -> Tokens:
    """天气很好 is weather is very good: an adjective needs a verb in English; 是 agrees with what stands before it."""
    out: Tokens = []
    for index, token in enumerate(tokens):
        if token.source == "是":
            subject = next((each for each in reversed(out) if each.kind in THING), NONE)
            negated = at(out, len(out) - 1).source == "不"
            if negated:
                out.pop()
            out.append(replace(token, english=be(subject) + (" not" if negated else "")))
            continue
        out.append(token)
        end = index + 1
        while at(tokens, end).kind in BEFORE_ADJECTIVE:
            end += 1
        if token.kind in THING and at(tokens, end).kind == "a" and at(tokens, end + 1).kind not in (*THING, "a", "d"):
            out.append(Token("", be(token), "be"))
    return out


def cased(tokens: Tokens) -> Tokens:
    """I behind a verb or a preposition is me."""
    out: Tokens = []
    for token in tokens:
        last = at(out, len(out) - 1)
        if token.kind == "r" and last.kind in ("v", "prep") and last.source != "是":
            token = replace(token, english=OBJECT.get(token.english, token.english))
        out.append(token)
    return out


def asked(tokens: Tokens) -> Tokens:
    """A sentence with 吗 or 呢 at its end is a question, whatever its mark."""
    end = len(tokens)
    while at(tokens, end - 1).kind == "mark":
        end -= 1
    if at(tokens, end - 1).source not in ("吗", "呢"):
        return tokens
    marks = [replace(mark, english="?") if mark.english == "." else mark for mark in tokens[end:]]
    if all(mark.english != "?" for mark in marks):
        marks.insert(0, Token("？", "?", "mark"))
    return [*tokens[: end - 1], *marks]


def shortened(tokens: Tokens) -> Tokens:
    """Particles say nothing in English."""
    return [token for token in tokens if token.kind != "part"]


RULES: tuple[Callable[[Tokens], Tokens], ...] = (
    asked,
    dated,
    counted,
    several,
    owned,
    shortened,
    placed,
    denied,
    linked,
    cased,
)
