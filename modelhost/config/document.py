"""YAML text in, plain values and the line of each key out. Keys given twice are refused, `${NAME}` is filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from modelhost.errors import ConfigError

KeyPath = tuple[str | int, ...]
_MOST_BYTES = 1 << 20
_MOST_NODES = 20_000
_DEEPEST = 40
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
_SCALARS = {f"tag:yaml.org,2002:{name}" for name in ("str", "null", "bool", "timestamp")} | _NUMBER
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?")


class Document:
    """`value` is the mapping that the text holds, `lines` the line (from 1) of every key path in it."""

    def __init__(self, text: str, name: str, environ: Mapping[str, str]) -> None:
        self.name = name
        self.lines: dict[KeyPath, int] = {}
        self._environ = environ
        self._nodes = 0
        if len(text) > _MOST_BYTES:
            raise ConfigError(f"{name} is larger than 1 MB", "is it the right file?")
        node = self._parsed(text)
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{name} holds no mapping of keys to values", "it begins with a line such as `registry:`")
        self.value: dict[str, Any] = self._built(node, ())

    def line(self, path: KeyPath) -> int | None:
        """The line of a key; for one that is not there, that of its nearest section."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None

    def _parsed(self, text: str) -> yaml.Node | None:
        try:
            return yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
            problem = getattr(error, "problem", None) or str(error).splitlines()[0]
            hint = "compare quotes, brackets and indentation on this line and the one above"
            raise ConfigError(f"{self.name}{where}: {problem}", hint) from None
        except RecursionError:
            raise ConfigError(f"{self.name} is nested too deeply", "five levels are enough") from None

    def _built(self, node: yaml.Node, path: KeyPath) -> Any:
        self._nodes += 1
        if self._nodes > _MOST_NODES or len(path) > _DEEPEST:  # anchors can make a short text endless
            raise ConfigError(f"{self.name} holds too much, or an anchor in itself", "write it out")
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._built(item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        value: dict[str, Any] = {}
        for key_node, item in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.value == "<<":
                raise self.error(path, "has a key that is no plain text", "write a word and a colon", key_node)
            key = key_node.value
            if key in value:
                raise self.error((*path, key), "is given twice", "keep one of them", key_node)
            self.lines[(*path, key)] = key_node.start_mark.line + 1
            value[key] = self._built(item, (*path, key))
        return value

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        """Numbers are decimal and booleans are `true` and `false`: `1:30`, `0x10`, `on` and dates are text."""
        text = self._filled(node.value, path)
        if node.tag not in _SCALARS:
            raise self.error(path, f"has the tag {node.tag}, which means nothing here", "write the plain value", node)
        if node.style:  # quoted
            return text
        if text in ("", "~", "null"):
            return None
        if text in ("true", "false"):
            return text == "true"
        if _DECIMAL.fullmatch(text) and len(text) < 20:
            return int(text)
        return float(text) if _FLOAT.fullmatch(text) and "." in text else text

    def _filled(self, text: str, path: KeyPath) -> str:
        def value(found: re.Match[str]) -> str:
            name = found[1]
            if not _NAME.fullmatch(name):
                raise self.error(path, f"holds {found[0]}, which names no variable", "write ${NAME}")
            if name not in self._environ:
                raise self.error(path, f"needs the environment variable {name}, which is not set", f"set {name}")
            return self._environ[name]

        return _VARIABLE.sub(value, text)

    def error(self, path: KeyPath, problem: str, hint: str, node: yaml.Node | None = None) -> ConfigError:
        """One mistake, with file, line and key."""
        line = node.start_mark.line + 1 if node is not None else self.line(path)
        where = f"{self.name}, line {line}" if line else self.name
        return ConfigError(f"{where}: {dotted(path)} {problem}", hint)


def dotted(path: KeyPath) -> str:
    """`components.model.ttl`, `adapters[0].use`; the whole file for an empty path."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "the file"
