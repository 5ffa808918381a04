"""A sentence word by word: the longest words of a dictionary in a row. Pure.

What the dictionary does not know stays as it was, in its place, so that a reader sees what is missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from translator.numerals import NUMERAL, number
from translator.text import CHINESE

SMALL = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
MARKS = dict(zip("。，、；：？！（）“”‘’《》「」『』【】", '.,,;:?!()""\'\'""""""[]', strict=True))
MARKS |= {"％": "%", "…": "…", "—": "–"}
OPENING = set("“‘《（「『【([{")
CLOSING = set("”’》）」』】)]}。，、；：？！…％.,;:?!%")
LATIN = re.compile(r"[^\s\u2018-\u201d\u2014\u2026\u3000-\uffef\U00020000-\U0003ffff]+")
ENDS = ".?!"


@dataclass(frozen=True, slots=True)
class Token:
    """A word. `kind`: of the dictionary, or `number`, `latin`, `mark`, `unknown`. `value`: of a number."""

    source: str
    english: str
    kind: str
    value: int = 0


Words = Mapping[str, Mapping[str, str]]
"""Chinese → kind of word → English; of several kinds the first is the usual one."""


def cut(sentence: str, words: Words) -> list[Token]:
    """The sentence in tokens, the longest words first; together their sources are all of it but the white space."""
    longest = max(map(len, words), default=0)
    tokens: list[Token] = []
    at, gap = 0, True
    while at < len(sentence):
        if sentence[at].isspace():
            at, gap = at + 1, True
            continue
        counts = bool(tokens) and tokens[-1].kind in ("number", "d")
        token = begins(sentence, at, words, longest, counts)
        at += len(token.source)
        if token.kind == "unknown" and not gap and tokens[-1].kind == "unknown":
            joined = tokens.pop().source + token.source
            token = Token(joined, joined, "unknown")
        tokens.append(token)
        gap = False
    return tokens


def begins(sentence: str, at: int, words: Words, longest: int, counts: bool) -> Token:
    """The token at `at`: the longer of a word and a numeral, else a mark, else Latin letters. `counts`: see `word`."""
    found = word(sentence, at, words, longest, counts)
    numeral = NUMERAL.match(sentence, at)
    value = number(numeral[0]) if numeral else None
    if numeral and value is not None and (found is None or len(numeral[0]) >= len(found.source)):
        return Token(numeral[0], SMALL[value] if value < len(SMALL) else str(value), "number", value)
    if found is not None:
        return found
    here = sentence[at]
    if here in MARKS or here in CLOSING or here in OPENING:
        return Token(here, MARKS.get(here, here), "mark")
    latin = LATIN.match(sentence, at)
    if latin is None or CHINESE.match(here):
        return Token(here, here, "unknown")
    text = latin[0].rstrip("".join(CLOSING)) or here
    plain = text.isascii() and text.isdecimal() and len(text) < 16
    return Token(text, text, "number", int(text)) if plain else Token(text, text, "latin")


def word(sentence: str, at: int, words: Words, longest: int, counts: bool) -> Token | None:
    """The longest word of the dictionary. `counts`: a number stands before it, so that it may be a measure word."""
    for length in range(min(longest, len(sentence) - at), 0, -1):
        source = sentence[at : at + length]
        kinds = words.get(source)
        if kinds:
            kind = "m" if counts and "m" in kinds else next(iter(kinds))
            return Token(source, kinds[kind], kind)
    return None


def written(tokens: list[Token]) -> str:
    """The English of the tokens with spaces and capitals."""
    text, begins_sentence, open_before = "", True, True
    for token in tokens:
        english = token.english
        if not english:
            continue
        if begins_sentence and token.kind != "mark":
            english = english if token.kind in ("latin", "unknown") else english[0].upper() + english[1:]
            begins_sentence = False
        mark = token.kind == "mark"
        text += english if open_before or (mark and token.source in CLOSING) else f" {english}"
        open_before = mark and token.source in OPENING
        begins_sentence = begins_sentence or (mark and english in ENDS)
    return text
