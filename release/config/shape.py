"""What the model expects at a key: its annotation, its names, whether it is text, whether it is to be hidden."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from release.config.manifest import Manifest
from release.config.origin import KeyPath

_HIDDEN = (("registry", "password"), ("notify",))
_SECRET_WORDS = {
    "PASS",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "SECRETS",
    "TOKEN",
    "CREDENTIAL",
    "CREDENTIALS",
    "APIKEY",
    "DSN",
}
_USERINFO = re.compile(r"://[^/@\s:]*:[^/@\s]+@")


def fields(section: type[BaseModel]) -> dict[str, FieldInfo]:
    """The section's keys as they are written in the file (`for`, not `for_`)."""
    return {info.alias or name: info for name, info in section.model_fields.items()}


def core(annotation: Any) -> Any:
    """The annotation without Annotated and without `| None`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return core(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        rest = [arg for arg in get_args(annotation) if arg is not type(None)]
        return core(rest[0]) if len(rest) == 1 else annotation
    return annotation


def optional(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType) and type(None) in get_args(annotation)


def section(annotation: Any) -> type[BaseModel] | None:
    """The section class behind an annotation, or None where it is a value."""
    inner = core(annotation)
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None


def step(annotation: Any, key: str | int) -> Any:
    """The annotation one key below, or None where the model has no such key."""
    inner = core(annotation)
    found = section(inner)
    if found is not None:
        info = fields(found).get(str(key))
        return None if info is None else info.annotation
    origin, args = get_origin(inner), get_args(inner)
    if origin is dict:
        return args[1]
    if origin in (list, tuple):
        return args[0]
    return Any if inner is Any else None


def at(path: KeyPath) -> Any:
    """The annotation at a path of the manifest, or None."""
    annotation: Any = Manifest
    for key in path:
        annotation = step(annotation, key)
        if annotation is None:
            return None
    return annotation


def is_text(annotation: Any) -> bool:
    inner = core(annotation)
    if get_origin(inner) is Literal:
        return all(isinstance(arg, str) for arg in get_args(inner))
    return inner is str


def is_mapping(annotation: Any) -> bool:
    return get_origin(core(annotation)) is dict


def choices(annotation: Any) -> list[str]:
    """The words that a Literal accepts, or the Literal keys of a mapping; else none."""
    inner = core(annotation)
    if get_origin(inner) is dict:
        inner = core(get_args(inner)[0])
    return [str(arg) for arg in get_args(inner)] if get_origin(inner) is Literal else []


def elsewhere(name: str) -> Iterator[str]:
    """Dotted keys of other sections that carry this name: `port` → `container.port`."""

    def walk(found: type[BaseModel], above: str) -> Iterator[str]:
        for key, info in fields(found).items():
            if key == name:
                yield above + key
            below = section(info.annotation)
            if below is not None:
                yield from walk(below, f"{above}{key}.")

    return walk(Manifest, "")


def hidden(path: KeyPath, value: Any = None) -> bool:
    """True where the value is never printed or stored: passwords, notify URLs, and what looks like a secret."""
    if any(path[: len(known)] == known for known in _HIDDEN):
        return True
    if isinstance(value, str) and _USERINFO.search(value):
        return True
    in_mapping = path[:2] in (("container", "env"), ("build", "args")) or "headers" in path or "json" in path
    return in_mapping and _secret_name(next(part for part in reversed(path) if isinstance(part, str)))


def _secret_name(name: str) -> bool:
    words = re.split(r"[^A-Z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper())  # also apiKey
    return not _SECRET_WORDS.isdisjoint(words) or words[-1] == "KEY" or "AUTHORIZATION" in words
