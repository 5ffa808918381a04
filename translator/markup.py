"""HTML before and after the model: only what stands between the tags is translated, all else stays byte for byte. Pure.

The document is never built anew. It is cut into spans of its own source, those that are text and those that are not;
a translation replaces a span of text, escaped, so that no output of a model can become markup.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from html.parser import HTMLParser

from translator.text import CHINESE, has_chinese

VERBATIM = {"script", "style", "template", "svg", "math"}
AS_WRITTEN = {"pre", "textarea"}  # where line ends mean something
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
INLINE = {
    "a",
    "abbr",
    "b",
    "bdi",
    "bdo",
    "cite",
    "code",
    "data",
    "del",
    "dfn",
    "em",
    "font",
    "i",
    "ins",
    "kbd",
    "label",
}
INLINE |= {"mark", "q", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr"}
BREAK = re.compile(r"\s*\n\s*")
EDGES = re.compile(r"((?:\s|&nbsp;|&#160;|&#xa0;)*)(.*?)((?:\s|&nbsp;|&#160;|&#xa0;)*)", re.DOTALL | re.IGNORECASE)
OPENS = set("([{“‘\"'/-")  # these want a space before them, and none behind


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of the source.

    `seen`: it is text, not a tag. `text`: what is to be translated of it, empty where nothing is. `adjoins`: between it
    and the text before it are only tags that end no word (`<b>`), so that English needs a space there and Chinese none.
    """

    source: str
    seen: bool = False
    text: str = ""
    adjoins: bool = False


@dataclass(frozen=True)
class Markup:
    """A document as spans."""

    spans: tuple[Span, ...]
    plain: str
    """What a reader sees, for the detection of its language."""

    def texts(self) -> list[str]:
        """The texts to translate, in order: those that hold Chinese."""
        return [span.text for span in self.spans if span.text]

    def fill(self, translated: list[str]) -> str:
        """The document with a translation for each of `texts()`, in their order."""
        replacement = iter(translated)
        parts: list[str] = []
        left: tuple[int, bool] | None = None  # where the text before stands in `parts`, and whether it is a translation
        for span in self.spans:
            part = refill(span, next(replacement)) if span.text else span.source
            if span.seen and part:
                if left is not None and span.adjoins and (left[1] or span.text) and apart(parts[left[0]], part):
                    if left[1]:
                        parts[left[0]] += " "
                    else:
                        part = " " + part
                left = len(parts), bool(span.text)
            parts.append(part)
        return "".join(parts)


def refill(span: Span, translated: str) -> str:
    """The translation in the white space of the original."""
    found = EDGES.fullmatch(span.source)
    assert found is not None  # it matches everything
    return found[1] + html.escape(translated, quote=False) + found[3]


def apart(left: str, right: str) -> bool:
    """Whether a space is missing between two pieces of English."""
    return not left[-1].isspace() and left[-1] not in OPENS and (right[0].isalnum() or right[0] in OPENS)


def read_markup(source: str) -> Markup:
    """Cut a document or a fragment into spans; markup that no parser understands stays as it is."""
    reader = Reader(source)
    try:
        reader.feed(source)
        reader.close()
    except (AssertionError, ValueError):  # an unfinished declaration: what was read is known, the rest is left alone
        pass
    return reader.markup()


class Reader(HTMLParser):
    """Notes where in the source the text stands, by its offsets, and whether it may be translated."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=False)
        self._source = source
        self._lines = [0, *(found.end() for found in re.finditer("\n", source))]
        self._kept: list[str] = []  # open elements whose content is not translated
        self._written: list[str] = []  # open elements whose line ends are kept
        self._adjoins = False  # only inline tags since the last text
        self._runs: list[tuple[int, int, bool, bool]] = []  # start, end, adjoins, lines are kept

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element that is not to be translated closes off all that is in it."""
        self._adjoins &= tag in INLINE
        if tag in VOID:
            return
        if self._kept or tag in VERBATIM or not translated(dict(attrs)):
            self._kept.append(tag)
        if tag in AS_WRITTEN:
            self._written.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """`<br/>`: nothing is opened."""
        self._adjoins &= tag in INLINE

    def handle_endtag(self, tag: str) -> None:
        """Close the element, and with it those that were left open in it."""
        self._adjoins &= tag in INLINE
        for open_elements in (self._kept, self._written):
            if tag in open_elements:
                del open_elements[len(open_elements) - 1 - open_elements[::-1].index(tag) :]

    def handle_data(self, data: str) -> None:
        """Text."""
        self._note(data)

    def handle_entityref(self, name: str) -> None:
        """`&amp;` is text too."""
        self._reference(f"&{name}")

    def handle_charref(self, name: str) -> None:
        """`&#20320;` is text too."""
        self._reference(f"&#{name}")

    def _reference(self, source: str) -> None:
        end = self._offset() + len(source)
        self._note(source + ";" if self._source[end : end + 1] == ";" else source)

    def _offset(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column

    def _note(self, source: str) -> None:
        start = self._offset()
        end = start + len(source)
        if self._kept or self._source[start:end] != source:
            return
        adjoins, lines = self._adjoins, bool(self._written)
        if self._runs and self._runs[-1][1] == start:
            start, _, adjoins, lines = self._runs.pop()
        self._runs.append((start, end, adjoins, lines))
        self._adjoins = True

    def markup(self) -> Markup:
        """What was noted, as spans."""
        spans, plain, end = [], [], 0
        for start, stop, adjoins, lines in self._runs:
            source = self._source[start:stop]
            seen = html.unescape(source)
            plain.append(seen)
            text = seen.strip() if lines else joined(seen)
            spans += [Span(self._source[end:start]), Span(source, True, text if has_chinese(text) else "", adjoins)]
            end = stop
        return Markup((*spans, Span(self._source[end:])), " ".join(plain))


def translated(attributes: dict[str, str | None]) -> bool:
    """Whether an element lets itself be translated: `translate="no"` and the class `notranslate` say no."""
    says = (attributes.get("translate") or "").lower()
    return says != "no" and "notranslate" not in (attributes.get("class") or "").split()


def joined(text: str) -> str:
    """The text in one line: a line end in HTML is a space, and none at all between two Chinese characters."""

    def join(found: re.Match[str]) -> str:
        around = text[max(0, found.start() - 1) : found.start()], text[found.end() : found.end() + 1]
        return "" if all(CHINESE.match(each) or each in "，。、；：？！" for each in around) else " "

    return BREAK.sub(join, text).strip()
