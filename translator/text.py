"""Text before and after the model: is it Chinese, where do sentences end, which marks must not reach a reader. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")

# A sentence ends at a full stop of either width, with the quotes and brackets that close behind it.
SENTENCE_END = re.compile(r"(?<=[。！？!?；;…])(?![。！？!?；;…”’」』）)\"'])|(?<=[。！？!?；;…][”’」』）)\"'])")
CLAUSE_END = re.compile(r"(?<=[，,、：:])")
LONGEST_SENTENCE = 90  # characters; the bundled models were trained on pieces of about this length

SPECIAL = re.compile(r"<(?:/?s|pad|unk|bos|eos|mask)>|\[(?:PAD|UNK|CLS|SEP|MASK)\]")
BPE_JOIN = re.compile(r"@@(?: |$)")  # "transla@@ tion"
WORDPIECE_JOIN = re.compile(r"(?<=\w) ##(?=\w)")  # "transla ##tion"; a heading's "## Title" stays
SPACE_BEFORE = re.compile(r" +(?=[,.!?;:%)\]}](?:\s|$))")


def has_chinese(text: str) -> bool:
    """Whether there is at least one Han character."""
    return CHINESE.search(text) is not None


Step = Callable[[str], str]
STEPS: Mapping[str, Step] = {
    "special-tokens": lambda line: SPECIAL.sub(" ", line),
    "sentencepiece-marks": lambda line: line.replace("\u2581", " "),
    "byte-pair-marks": lambda line: BPE_JOIN.sub("", line),
    "word-piece-marks": lambda line: WORDPIECE_JOIN.sub("", line),
    "single-spaces": lambda line: " ".join(line.split()),
    "no-space-before-marks": lambda line: SPACE_BEFORE.sub("", line),
}
"""What may be done to a translated line, by the names that a version's postprocessing.json uses."""


def clean(line: str, steps: Iterable[Step] = tuple(STEPS.values())) -> str:
    """A translated line without special tokens and subword marks, in whatever form a tokenizer left them.

    Removing a mark may uncover another, so it is done until nothing changes: `clean(clean(x)) == clean(x)`.
    """
    while True:
        cleaned = line
        for step in steps:
            cleaned = step(cleaned)
        if cleaned == line:
            return cleaned
        line = cleaned


@dataclass(frozen=True)
class Layout:
    """A text as lines of sentences: the model sees the sentences, the reader gets the lines back."""

    lines: tuple[tuple[str, ...], ...]

    def sentences(self) -> list[str]:
        """Those sentences that hold Chinese, in order; the rest passes through untouched."""
        return [sentence for line in self.lines for sentence in line if has_chinese(sentence)]

    def fill(self, translated: list[str]) -> str:
        """The text with each Chinese sentence replaced by its translation, in the order of `sentences()`."""
        replacement = iter(translated)
        lines = ([next(replacement) if has_chinese(part) else part.strip() for part in line] for line in self.lines)
        return "\n".join(" ".join(part for part in line if part) for line in lines)


def lay_out(text: str) -> Layout:
    """Split a text into lines and sentences; a sentence beyond `LONGEST_SENTENCE` is split at its clauses."""
    lines = []
    for line in text.strip().splitlines():
        sentences: list[str] = []
        for sentence in SENTENCE_END.split(line):
            if sentence.strip():
                sentences.extend(shorten(sentence.strip()))
        lines.append(tuple(sentences))
    return Layout(tuple(lines))


def shorten(sentence: str) -> list[str]:
    """The sentence, or if it is too long for the model, runs of its clauses of at most `LONGEST_SENTENCE`."""
    if len(sentence) <= LONGEST_SENTENCE:
        return [sentence]
    runs = [""]
    for clause in CLAUSE_END.split(sentence):
        for start in range(0, len(clause), LONGEST_SENTENCE):
            part = clause[start : start + LONGEST_SENTENCE]
            if len(runs[-1]) + len(part) > LONGEST_SENTENCE:
                runs.append("")
            runs[-1] += part
    return [run.strip() for run in runs if run.strip()]


@dataclass(frozen=True)
class Batch:
    """The texts of a request as one list of sentences, and back."""

    layouts: tuple[Layout, ...]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Batch:
        """Lay out each text."""
        return cls(tuple(lay_out(text) for text in texts))

    def sentences(self) -> list[str]:
        """All sentences to translate, in order."""
        return [sentence for layout in self.layouts for sentence in layout.sentences()]

    def fill(self, translated: Iterable[str]) -> list[str]:
        """Each text with its sentences replaced, from the translations of `sentences()`."""
        rest = iter(translated)
        return [layout.fill([next(rest) for _ in layout.sentences()]) for layout in self.layouts]
