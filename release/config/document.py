"""YAML text in, plain values and their places out. Nothing here knows what a manifest's keys mean.

Plain scalars are read as YAML 1.2 does: only `true` and `false` are booleans, `22:00` is text and not 1320, and the
text of a number is kept, so that a text field gets `3.10` as written and not 3.1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from release.config.complaint import Complaint
from release.config.origin import KeyPath, Origin, Source
from release.config.variables import shield, unshield
from release.errors import ManifestError

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_CONSTANTS = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_KNOWN_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq")}
_MOST_NODES = 20_000  # anchors can multiply a short text into a long one
_DEEPEST = 50
_STRING = "tag:yaml.org,2002:str"


@dataclass(frozen=True)
class Mark:
    """Where a value stands and how it was written; `text` is a scalar's text, `plain` that it had no quotes."""

    origin: Origin
    text: str | None = None
    plain: bool = False
    reference: str | None = None  # the text before its `${NAME}` was filled in


@dataclass
class Document:
    """`value` is the document's mapping, `marks` the place of every key path in it."""

    value: dict[str, Any] = field(default_factory=dict)
    marks: dict[KeyPath, Mark] = field(default_factory=dict)
    complaints: list[Complaint] = field(default_factory=list)

    def filled(self, path: KeyPath) -> bool:
        """True where a `${NAME}` was filled in."""
        mark = self.marks.get(path)
        return mark is not None and mark.reference is not None

    def origin(self, path: KeyPath) -> Origin | None:
        """Where this key stands; for one that is not there, its nearest section."""
        for length in range(len(path), 0, -1):
            mark = self.marks.get(path[:length])
            if mark is not None:
                return mark.origin
        return None


def plain(text: str) -> Any:
    """What an unquoted scalar means."""
    if text in _CONSTANTS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text) if len(text) < 20 else text
    return float(text) if _NUMBER.fullmatch(text) else text


def read(text: str, place: str, kind: Source = Source.FILE) -> Document:
    """Reads one YAML document whose top is a mapping. Raises ManifestError for text that is no YAML."""
    value, document = read_value(text, place, kind)
    if value is None:
        raise ManifestError(f"{place} is empty", hint="`release init` writes one to start from")
    if not isinstance(value, dict):
        raise ManifestError(
            f"{place} is not a mapping of keys to values", hint="it starts with a line such as `service: translator`"
        )
    document.value = value
    return document


def read_value(text: str, place: str, kind: Source, base: KeyPath = ()) -> tuple[Any, Document]:
    """Reads any YAML value; `base` is the path under which its places are kept."""
    reader = _Reader(place, kind)
    try:
        loader = _Loader(shield(text))
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise _syntax(error, text, place) from None
    except RecursionError:
        raise ManifestError(f"{place} is nested too deeply", hint="a manifest needs five levels at most") from None
    value = None if node is None else reader.build(node, base, ())
    return value, reader.document


def _syntax(error: yaml.YAMLError, text: str, place: str) -> ManifestError:
    mark = getattr(error, "problem_mark", None)
    problem = unshield(getattr(error, "problem", None) or str(error).splitlines()[0])
    lines = text.splitlines()
    if mark is None or mark.line >= len(lines) + 1:
        return ManifestError(f"{place}: {problem}", hint="save it as UTF-8 text without control characters")
    number, column = mark.line, mark.column
    if number >= len(lines):  # the end of the text: point behind its last character
        number = max(len(lines) - 1, 0)
        column = len(lines[number]) if lines else 0
    line = lines[number].replace("\t", "→") if lines else ""
    pointer = " " * min(column, len(line)) + "^"
    hint = "compare quotes, brackets and indentation on this line and the one above"
    if "\t" in (lines[number] if lines else ""):
        hint = "YAML is indented with spaces, never with tabs"
    elif "document" in problem:
        hint = "a manifest is one YAML document: remove the `---` that begins another"
    elif "mapping values" in problem:
        hint = "a text that holds `: ` needs quotes; otherwise the indentation is off"
    snippet = f"  {number + 1:>4} | {line}\n       | {pointer}"
    return ManifestError(f"{place}, line {number + 1}, column {column + 1}: {problem}\n{snippet}", hint=hint)


class _Reader:
    def __init__(self, place: str, kind: Source) -> None:
        self.place, self.kind = place, kind
        self.document = Document()
        self.nodes = 0
        self.resolver: Any = yaml.resolver.Resolver()

    def build(self, node: yaml.Node, path: KeyPath, above: tuple[int, ...]) -> Any:
        self.nodes += 1
        if len(above) > _DEEPEST:
            raise ManifestError(f"{self.place} is nested too deeply", hint="a manifest needs five levels at most")
        if id(node) in above or self.nodes > _MOST_NODES:
            raise ManifestError(f"{self.place} holds an anchor that repeats itself or too much", hint="write it out")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        self.document.marks[path] = Mark(self._origin(node))
        self._check_tag(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, i), (*above, id(node))) for i, item in enumerate(node.value)]
        assert isinstance(node, yaml.MappingNode)
        return self._mapping(node, path, (*above, id(node)))

    def _mapping(self, node: yaml.MappingNode, path: KeyPath, above: tuple[int, ...]) -> dict[str, Any]:
        value: dict[str, Any] = {}
        lines: dict[str, int] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._complain(path, "has a key that is no text", key_node)
                continue
            key = unshield(key_node.value)
            if key == "<<" and not key_node.style:
                merged += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                continue
            if key in lines:
                self._complain((*path, key), f"is given twice, first on line {lines[key]}", key_node)
                continue
            lines[key] = key_node.start_mark.line + 1
            value[key] = self.build(value_node, (*path, key), above)
            mark = self.document.marks[(*path, key)]
            self.document.marks[(*path, key)] = Mark(self._origin(key_node), mark.text, mark.plain)
        for other in merged:
            self._merge(other, path, value, above)
        return value

    def _merge(self, node: yaml.Node, path: KeyPath, value: dict[str, Any], above: tuple[int, ...]) -> None:
        """`<<: *base`: the keys of another mapping that this one does not give itself."""
        if not isinstance(node, yaml.MappingNode):
            self._complain(path, "merges something that is no mapping", node)
            return
        marks = dict(self.document.marks)
        for key, item in self._mapping(node, path, (*above, id(node))).items():
            value.setdefault(key, item)
        self.document.marks |= marks  # the mapping's own places win over the merged ones

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        text = unshield(node.value)
        unquoted = not node.style  # libyaml says '' where the Python parser says None
        implied = self.resolver.resolve(yaml.ScalarNode, node.value, (unquoted, not unquoted))
        if unquoted and node.tag == _STRING and implied != _STRING:
            unquoted = False  # `!!str 5`
        self.document.marks[path] = Mark(self._origin(node), text, unquoted)
        if node.tag != implied:
            self._check_tag(node, path)
        return plain(text) if unquoted else text

    def _check_tag(self, node: yaml.Node, path: KeyPath) -> None:
        if node.tag not in _KNOWN_TAGS:
            self._complain(path, f"has the tag {node.tag}, which means nothing here", node)

    def _origin(self, node: yaml.Node) -> Origin:
        return Origin(self.kind, self.place, node.start_mark.line + 1 if self.kind is Source.FILE else None)

    def _complain(self, path: KeyPath, text: str, node: yaml.Node) -> None:
        self.document.complaints.append(Complaint(path, text, self._origin(node)))


def references(marks: Mapping[KeyPath, Mark]) -> dict[KeyPath, str]:
    """The text with `${NAME}` in it of every value that was filled in."""
    return {path: mark.reference for path, mark in marks.items() if mark.reference is not None}
