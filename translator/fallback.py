"""What translates when no model can: a dictionary and a few rules. It is no translation, and its answers say so.

It writes the words of a sentence in their Chinese order, without articles and tenses, and leaves what it does not know
as it was. It is there so that a reader gets the gist instead of an error; whoever needs more has to wait for a model.
The same sentence always gives the same words.

`dictionary.tsv` holds a word a line: Chinese, English, kind. Kinds: x phrase, r personal pronoun, n noun, v verb, vs
verb with a sentence behind it, mod modal verb, a adjective, d determiner, q question word, t time, b adverb, deg adverb
of degree, c conjunction, prep preposition, loc place word behind its noun, m measure word, ord 第, part particle, neg
negation. A word may have several kinds; the first is the usual one, and m counts behind a number.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from translator.gloss import Words, cut, written
from translator.rules import RULES

if TYPE_CHECKING:
    from modelhost.loading.base import Loaded

WORDS = Path(__file__).parent / "dictionary.tsv"
COMPONENT = "model"
SHAPE = "translation/1"  # as the models of this service answer


class Dictionary:
    """Translates sentences word by word."""

    def __init__(self, words: Words) -> None:
        self._words = words

    def translate(self, sentences: list[str]) -> list[str]:
        """A line for each sentence; never fails, never blocks."""
        return [self._translated(sentence) for sentence in sentences]

    def _translated(self, sentence: str) -> str:
        tokens = cut(sentence, self._words)
        for rule in RULES:
            tokens = rule(tokens)
        return written(tokens)


def read_words(path: Path) -> Words:
    """The words of a dictionary file; raises ValueError that names a line that is none, OSError."""
    words: dict[str, dict[str, str]] = {}
    for index, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("#"):
            continue
        try:
            chinese, english, kind = line.split("\t")
        except ValueError as error:
            raise ValueError(f"{path.name}, line {index}: not Chinese, English and kind with tabs between") from error
        if words.setdefault(chinese, {}).setdefault(kind, english) != english:
            raise ValueError(f"{path.name}, line {index}: {chinese} ({kind}) is there already")
    return words


def dictionary() -> Loaded:
    """The fallback as modelhost takes it: `fallback: translator.fallback:dictionary`."""
    from modelhost.metadata import Interface, Tensor
    from modelhost.serving.fallback import fallback

    interface = Interface(
        inputs=(Tensor(name="text", datatype="BYTES", shape=(-1,)),),
        outputs=(Tensor(name="translation", datatype="BYTES", shape=(-1,)),),
        shape=SHAPE,
    )
    note = "a dictionary and a few rules, word by word; no model"
    return fallback(COMPONENT, Dictionary(read_words(WORDS)), WORDS, interface, note)
