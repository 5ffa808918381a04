"""pydantic's errors in plain words: file, line, key, what is wrong, what to write, and the nearest valid name."""

from __future__ import annotations

import difflib
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from modelhost.config.document import Document, KeyPath, dotted
from modelhost.config.values import LABEL
from modelhost.errors import ConfigError
from modelhost.metadata import NAME

_EXPECTED = {"int": "a whole number", "float": "a number", "bool": "true or false", "string": "text"}
_EXPECTED |= {"tuple": "a list", "frozen": "a list", "mapping": "keys with values", "model": "keys with values"}
_SHOWN = 60
_PATTERNS = {
    NAME: "small letters and digits, with single . _ - between them, such as zh-en",
    LABEL: "letters, digits and . _ - without spaces, at most 63 of them, such as zh-en",
}


def complaint(error: ValidationError, document: Document, root: type[BaseModel]) -> ConfigError:
    """All mistakes in one error, one a line; secrets (`notify`) are not shown."""
    lines = []
    for detail in error.errors(include_url=False):
        path: KeyPath = tuple(part for part in detail["loc"] if part != "[key]")
        line = document.line(path)
        where = f"{document.name}, line {line}" if line else document.name
        lines.append(f"{where}: {dotted(path)} {_sentence(detail, path, root)}")
    return ConfigError("\n".join(lines), "mend the file, then start or reload")


def _sentence(error: ErrorDetails, path: KeyPath, root: type[BaseModel]) -> str:
    kind, context = error["type"], error.get("ctx", {})
    given = "a value that is not shown" if path[:1] == ("notify",) else _shown(error["input"])
    if kind == "extra_forbidden":
        return unknown(str(path[-1]), _keys(path[:-1], root))
    if kind == "missing":
        return f"is missing{_meaning(path, root)}"
    if kind in ("literal_error", "enum"):
        return f"is {given}; write {context['expected']}"
    if kind in ("value_error", "assertion_error"):
        text = error["msg"].partition(", ")[2]
        return text if text.split(" ", 1)[0] in ("is", "has", "needs", "names", "must") else f"is {given}: {text}"
    if kind in ("too_short", "string_too_short"):
        return f"is too short; write at least {context.get('min_length', 1)}"
    expected = _EXPECTED.get(kind.partition("_")[0])
    if kind.endswith(("_type", "_parsing", "_from_float")) and expected:
        return f"is {given}; write {expected}"
    if context.get("pattern") in _PATTERNS:
        named = "is not a valid name" if "[key]" in error["loc"] else f"is {_shown(error['input'])}"
        return f"{named}; write {_PATTERNS[context['pattern']]}"
    if "[key]" in error["loc"]:
        return f"is not a valid name{_pattern(context)}"
    return f"is {given}{_meaning(path, root) or ': ' + error['msg']}"


def unknown(name: str, valid: list[str]) -> str:
    """That a key is not known, the nearest that is, and all that are; `maxSize` and `max-size` are near `max_size`."""
    squeezed = {key.replace("_", ""): key for key in valid}
    near = difflib.get_close_matches(name.lower().replace("-", "").replace("_", ""), squeezed, n=1)
    guess = f"; did you mean {squeezed[near[0]]}?" if near else ""
    return f"is no key that there is{guess} (valid here: {', '.join(valid)})"


def _pattern(context: dict[str, Any]) -> str:
    return f"; it must match {context['pattern']}" if "pattern" in context else ""


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _keys(path: KeyPath, root: type[BaseModel]) -> list[str]:
    section = _at(path, root)
    return [info.alias or name for name, info in section.model_fields.items()] if section else []


def _meaning(path: KeyPath, root: type[BaseModel]) -> str:
    parent = _at(path[:-1], root)
    for name, info in parent.model_fields.items() if parent else ():
        if path and path[-1] in (name, info.alias) and info.description:
            return f": {info.description}"
    return ""


def _at(path: KeyPath, root: type[BaseModel]) -> type[BaseModel] | None:
    """The section under a path; None where there is none."""
    annotation: Any = root
    for part in path:
        annotation = _inner(annotation, part)
    annotation = _bare(annotation)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _inner(annotation: Any, part: str | int) -> Any:
    """What stands under one key of a section, of a mapping or of a list."""
    annotation = _bare(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields.items()
        return next((info.annotation for name, info in fields if part in (name, info.alias)), None)
    arguments = get_args(annotation)
    return (arguments[-1] if get_origin(annotation) is not tuple else arguments[0]) if arguments else None


def _bare(annotation: Any) -> Any:
    """Without `Annotated` and `| None`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _bare(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return _bare(next(argument for argument in get_args(annotation) if argument is not NoneType))
    return annotation
