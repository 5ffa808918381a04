"""The comparer against a validator: a value that the old description takes and the new refuses is never harmless."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from release.checks.changes import Severity, Way
from release.checks.schemas import Schemas
from release.checks.shapes import Document

NAMES = st.sampled_from("pqr")
WORDS = ["a", "b", "cc", "ddd"]
STRING = st.fixed_dictionaries(
    {"type": st.just("string")},
    optional={
        "minLength": st.integers(0, 3),
        "maxLength": st.integers(0, 4),
        "enum": st.lists(st.sampled_from(WORDS), min_size=1, max_size=3, unique=True),
    },
)
INTEGER = st.fixed_dictionaries(
    {"type": st.just("integer")},
    optional={
        "minimum": st.integers(-2, 3),
        "maximum": st.integers(0, 5),
        "exclusiveMinimum": st.integers(-3, 2),
        "multipleOf": st.integers(1, 3),
    },
)
KINDS = st.lists(st.sampled_from(["string", "integer", "null", "boolean"]), min_size=1, max_size=2, unique=True)
LEAVES = STRING | INTEGER | st.builds(lambda kinds: {"type": kinds}, KINDS)
LEAVES |= st.sampled_from([{"type": "number"}, {"const": "a"}, {"const": 1}, {"type": "null"}, {}])


def larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.dictionaries(NAMES, inner, max_size=3)
    required = st.lists(NAMES, max_size=2, unique=True)
    objects = st.fixed_dictionaries(
        {"type": st.just("object")},
        optional={"properties": several, "required": required, "additionalProperties": st.booleans() | inner},
    )
    arrays = st.fixed_dictionaries(
        {"type": st.just("array")},
        optional={"items": inner, "minItems": st.integers(0, 2), "maxItems": st.integers(0, 3)},
    )
    return objects | arrays | st.builds(lambda parts: {"anyOf": parts}, st.lists(inner, min_size=1, max_size=3))


SCHEMAS = st.recursive(LEAVES, larger, max_leaves=5)
PLAIN = st.none() | st.booleans() | st.integers(-3, 6) | st.sampled_from(["", *WORDS, "eeeee", 1.5])
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("pqrs"), inner, max_size=3),
    max_leaves=5,
)


def places(schema: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where schemas stand within a schema."""
    yield above
    for name, inner in schema.get("properties", {}).items():
        yield from places(inner, (*above, "properties", name))
    for number, inner in enumerate(schema.get("anyOf", [])):
        yield from places(inner, (*above, "anyOf", number))
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from places(schema[key], (*above, key))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Any, Any]:
    """A schema and the same with one place changed, either of them first."""
    schema = draw(SCHEMAS)
    whole = {"": copy.deepcopy(schema)}
    node: Any = whole
    path = ("", *draw(st.sampled_from(list(places(schema)))))
    for key in path[:-1]:
        node = node[key]
    there, other = node[path[-1]], draw(SCHEMAS)
    also = {"anyOf": [there, other]}
    merged = {**there, **other} if there.get("type") == other.get("type") else other
    less = {key: value for key, value in there.items() if key in ("type", "anyOf", "const")}
    null = {"anyOf": [{"anyOf": [there, {"type": "null"}]}, there]}
    named = {**there, "properties": {"p": other}} if there.get("type") == "object" else null
    node[path[-1]] = draw(st.sampled_from([other, also, merged, less, null, named]))
    return (schema, whole[""]) if draw(st.booleans()) else (whole[""], schema)


def described(schema: Any) -> Any:
    """The schema without what it passes over: nobody relies on properties that an object does not name."""
    if isinstance(schema, list):
        return [described(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = dict(schema)
    for key in ("items", "anyOf", "additionalProperties"):
        if key in found:
            found[key] = described(found[key])
    if "properties" in found:
        found["properties"] = {name: described(inner) for name, inner in found["properties"].items()}
    if found.get("type") == "object" and found.get("additionalProperties", True) is True:
        found["additionalProperties"] = False
    return found


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(pairs(), st.lists(VALUES, min_size=10, max_size=20), st.sampled_from(Way))
def test_what_is_no_longer_understood_is_never_called_harmless(
    pair: tuple[Any, Any], values: list[Any], way: Way
) -> None:
    old, new = pair
    empty = Document({})
    told = {Severity.BREAKING} if way is Way.INPUT else {Severity.BREAKING, Severity.WARNING}
    if any(change.severity in told for change in Schemas(empty, empty).compare(old, new, way)):
        return
    sent, understood = (old, new) if way is Way.INPUT else (new, old)
    takes, gets = Draft202012Validator(understood), Draft202012Validator(described(sent))
    assert [value for value in values if gets.is_valid(value) and not takes.is_valid(value)] == []


NAMED_ALONE = {"type": "object", "required": ["p"]}
TEXT = {"type": "object", "properties": {"p": {"type": "string"}}}


@pytest.mark.parametrize(
    ("new", "way", "expected"),
    [
        (TEXT, Way.OUTPUT, ["/p is now optional"]),
        (TEXT | {"required": ["p"]}, Way.OUTPUT, []),
        (TEXT | {"required": ["p"]}, Way.INPUT, ["/p type was anything, is now string"]),
        ({**NAMED_ALONE, "properties": {"p": {}}}, Way.INPUT, []),
        ({"type": "object"}, Way.OUTPUT, ["/p is now optional"]),
    ],
)
def test_a_property_that_was_required_without_a_description_stays_required(
    new: Any, way: Way, expected: list[str]
) -> None:
    empty = Document({})
    changes = Schemas(empty, empty).compare(NAMED_ALONE, new, way)
    assert [str(c) for c in changes if c.severity is Severity.BREAKING] == expected
