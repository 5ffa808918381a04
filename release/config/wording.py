"""pydantic's errors in plain words: the key, what was given, what is expected, and the nearest valid name."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from pydantic_core import ErrorDetails

from release.config import shape
from release.config.complaint import Complaint, shown
from release.config.document import Document
from release.config.origin import KeyPath

_EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "dict": "keys with values",
    "model": "keys with values",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "{} or more"),
    "greater_than": ("gt", "more than {}"),
    "less_than_equal": ("le", "{} or less"),
    "less_than": ("lt", "less than {}"),
}
_LATER: dict[tuple[str, ...], str] = {
    ("engine", "kind", "swarm"): "Docker Swarm is not available in this version",
    ("rollout", "strategy", "canary"): "canary rollouts are not available in this version",
    ("rollout", "strategy", "shadow"): "shadow traffic is not available in this version",
}


def complaint(error: ErrorDetails, document: Document) -> Complaint:
    """One complaint for one of pydantic's errors; values of hidden keys are not shown."""
    path: KeyPath = tuple(part for part in error["loc"] if part != "[key]")
    kind = error["type"]
    given = "a value that is not shown" if _hide(path, error["input"]) else shown(error["input"])
    origin = document.origin(path)
    if kind == "extra_forbidden":
        return Complaint(path, unknown(path), origin)
    if kind == "missing":
        return Complaint(path, f"is missing{_meaning(path)}", origin)
    if error["loc"][-1] == "[key]":
        return Complaint(path, unknown(path), origin)
    return Complaint(path, _sentence(kind, path, given, error), origin)


def _sentence(kind: str, path: KeyPath, given: str, error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"is {given}; expected {words.format(context[name])}"
    if kind == "literal_error":
        valid = shape.choices(shape.at(path))
        later = _LATER.get((*map(str, path), str(error["input"])))
        reason = f": {later}" if later else _nearest(str(error["input"]), valid)
        return f"is {given}{reason}; expected {' or '.join(valid)}"
    if kind in ("value_error", "assertion_error"):
        return f"is not valid: {error['msg'].partition(', ')[2]}"
    if kind == "int_from_float":
        return f"is {given}; expected a whole number"
    expected = _EXPECTED.get(kind.partition("_")[0])
    if expected is None or (kind.startswith("string_") and kind != "string_type"):
        return f"is {given}{_meaning(path) or ': ' + error['msg']}"
    return f"is {given}; expected {expected}{_keys(path) if kind == 'model_type' else ''}"


def unknown(path: KeyPath) -> str:
    """Why a key is not known, the nearest that is, and all that are."""
    parent = shape.at(path[:-1])
    section = shape.section(parent)
    valid = list(shape.fields(section)) if section is not None else shape.choices(parent)
    name = str(path[-1])
    near = _nearest(name, valid)
    if not near:
        others = list(shape.elsewhere(name))
        near = f"; did you mean {' or '.join(others[:3])}?" if others else ""
    known = f"; valid here: {', '.join(valid)}" if valid else ""
    return f"is no key of the manifest{near}{known}"


def _nearest(name: str, valid: Sequence[str]) -> str:
    """`; did you mean listen?`, also for `Listen`, `max-body` and `maxBody`; empty where nothing is near."""
    squeezed = {key.replace("_", ""): key for key in valid}
    wanted = name.lower().replace("-", "").replace("_", "")
    found = difflib.get_close_matches(wanted, list(squeezed), n=1, cutoff=0.6)
    return f"; did you mean {squeezed[found[0]]}?" if found else ""


def _meaning(path: KeyPath) -> str:
    parent = shape.section(shape.at(path[:-1]))
    info = shape.fields(parent).get(str(path[-1])) if parent is not None else None
    return f": {info.description}" if info is not None and info.description else ""


def _keys(path: KeyPath) -> str:
    section = shape.section(shape.at(path))
    return f" ({', '.join(shape.fields(section))})" if section is not None else ""


def _hide(path: KeyPath, value: Any) -> bool:
    return shape.hidden(path, value) or path[:2] == ("container", "secrets")
