"""A JSON Schema as the comparer sees it: references followed, allOf merged, null and single alternatives folded in."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Keywords that are told apart in detail elsewhere, or say nothing about which values are valid.
_STRUCTURE = {"$ref", "allOf", "anyOf", "oneOf", "type", "nullable", "enum", "const", "properties", "required", "items",
              "prefixItems", "additionalProperties", "format", "discriminator"}  # fmt: skip
_TALK = {"title", "description", "example", "examples", "deprecated", "externalDocs", "xml", "default", "$comment",
         "$id", "$anchor", "readOnly", "writeOnly", "$defs", "definitions"}  # fmt: skip
LOWER = {"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"}
UPPER = {"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"}
_FROM_ZERO = {"minLength", "minItems", "minProperties"}  # 0 asks for nothing
LIMITS = LOWER | UPPER | {"multipleOf", "pattern", "uniqueItems"}
_MOST_ALTERNATIVES = 256
_KINDS: dict[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "array",
    dict: "object",
}


@dataclass
class Shape:
    """`types` is None where any type goes; null is told by `nullable`. Schemas inside are raw, as in the document.

    `alternatives` holds more than one raw schema or none; each already contains what stands beside oneOf or anyOf.
    `other` holds keywords that are compared as a whole.
    """

    types: frozenset[str] | None = None
    nullable: bool = False
    format: str | None = None
    enum: list[Any] | None = None
    limits: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    items: Any = None
    prefix: list[Any] = field(default_factory=list)
    additional: Any = True
    alternatives: list[Any] = field(default_factory=list)
    discriminator: str | None = None
    default: Any = None
    other: dict[str, Any] = field(default_factory=dict)


class Document:
    """An OpenAPI document and its local references. Raises ValueError for a reference that leads nowhere."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data

    def target(self, reference: object) -> Any:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise ValueError(f"{reference!r} refers outside of the document, and only references inside are followed")
        node: Any = self.data
        for part in reference.lstrip("#").split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(node, list) and key.isdigit() and int(key) < len(node):
                node = node[int(key)]
            elif isinstance(node, Mapping) and key in node:
                node = node[key]
            else:
                raise ValueError(f"the reference {reference!r} leads nowhere")
        return node

    def closure(self, raw: Any) -> dict[str, str]:
        """The text of every schema that `raw` refers to, however far off, by its reference."""
        found: dict[str, str] = {}
        waiting = _references(raw)
        while waiting:
            reference = waiting.pop()
            if reference not in found:
                target = self.target(reference)
                found[reference] = json.dumps(target, sort_keys=True)
                waiting += _references(target)
        return found

    def follow(self, node: Any) -> Mapping[str, Any]:
        """What stands at the end of a chain of references; for everything that is not a schema."""
        for _ in range(50):
            if not isinstance(node, Mapping):
                return {}
            if "$ref" not in node:
                return node
            node = self.target(node["$ref"])
        raise ValueError("a chain of references has no end")

    def shape(self, raw: Any) -> Shape:
        parts, sets, nullable = self._flatten(raw, ())
        shape = Shape(nullable=nullable)
        for part in parts:
            _merge(shape, part)
        if shape.types is None and shape.enum:  # the values say it
            shape.types = frozenset(_KINDS[type(value)] for value in shape.enum)
        if sets:
            found = itertools.islice(itertools.product(*map(_once, sets)), _MOST_ALTERNATIVES)
            # The alternative comes last, so that it is what names the whole.
            shape.alternatives = [{"allOf": [*_distinct(parts), *chosen]} for chosen in found]
        return shape

    def _flatten(self, raw: Any, trail: tuple[str, ...]) -> tuple[list[Mapping[str, Any]], list[list[Any]], bool]:
        """(parts that hold all at once, sets of alternatives, whether null goes too)."""
        if raw is False:
            return [{"not": {}}], [], False
        if not isinstance(raw, Mapping):
            return [], [], False
        parts: list[Mapping[str, Any]] = []
        sets: list[list[Any]] = []
        own = {key: value for key, value in raw.items() if key not in ("$ref", "allOf", "anyOf", "oneOf")}
        nullable = _null(raw)
        inner = list(raw["allOf"]) if isinstance(raw.get("allOf"), list) else []
        if "$ref" in raw and raw["$ref"] not in trail:
            trail = (*trail, str(raw["$ref"]))
            inner.insert(0, self.target(raw["$ref"]))
        for key in ("anyOf", "oneOf"):
            branches = raw[key] if isinstance(raw.get(key), list) else []
            branches = _spread(branches)
            real = [branch for branch in branches if not _only_null(branch)]
            nullable = nullable or len(real) < len(branches)
            nullable = nullable or (len(real) > 1 and any(self._flatten(branch, trail)[2] for branch in real))
            if branches and not real:
                inner.append({"type": "null"})
            elif len(real) == 1:
                inner.append(real[0])
            elif real:
                sets.append(real)
        for sub in inner:
            more, alternatives, null = self._flatten(sub, trail)
            parts += more
            sets += alternatives
            nullable = nullable or null
        return ([own] if own else []) + parts, sets, nullable


def _references(raw: Any) -> list[Any]:
    if isinstance(raw, list):
        return [reference for item in raw for reference in _references(item)]
    if not isinstance(raw, Mapping):
        return []
    own = [raw["$ref"]] if isinstance(raw.get("$ref"), str) else []
    return own + [reference for value in raw.values() for reference in _references(value)]


def _spread(branches: list[Any]) -> list[Any]:
    """Alternatives within alternatives, written in place, are alternatives like the others."""
    found: list[Any] = []
    for branch in branches:
        inner = branch.get("anyOf") if isinstance(branch, Mapping) and set(branch) == {"anyOf"} else None
        found += _spread(inner) if isinstance(inner, list) else [branch]
    return found


def _once(parts: list[Any]) -> list[Any]:
    return list({json.dumps(part, sort_keys=True): part for part in parts}.values())


def _null(raw: Mapping[str, Any]) -> bool:
    kind, enum = raw.get("type"), raw.get("enum")
    listed = isinstance(kind, list) and "null" in kind
    return raw.get("nullable") is True or listed or (isinstance(enum, list) and None in enum and "type" not in raw)


def _only_null(branch: Any) -> bool:
    return isinstance(branch, Mapping) and (branch.get("type") in ("null", ["null"]) or branch.get("enum") == [None])


def _merge(shape: Shape, part: Mapping[str, Any]) -> None:
    """Narrows `shape` to what also satisfies `part`."""
    kind = part.get("type")
    if kind is not None:
        types = frozenset(kind if isinstance(kind, list) else [kind])
        types = types - {"null"} if types != {"null"} else types
        shape.types = types if shape.types is None else _both(shape.types, types)
    values = [part["const"]] if "const" in part else part.get("enum")
    if isinstance(values, list):
        values = [value for value in values if value is not None]
        shape.enum = values if shape.enum is None else [value for value in shape.enum if value in values]
    shape.format = shape.format or part.get("format")
    _merge_limits(shape.limits, part)
    for name, raw in (part.get("properties") or {}).items():
        shape.properties[name] = _also(shape.properties.get(name), raw)
    shape.required |= frozenset(part.get("required") or ()) if isinstance(part.get("required"), list) else frozenset()
    if "items" in part:
        shape.items = _also(shape.items, part["items"])
    shape.prefix = shape.prefix or list(part.get("prefixItems") or ())
    extra = part.get("additionalProperties", True)
    if extra is not True and extra != {}:
        shape.additional = extra if shape.additional is True else _also(shape.additional, extra)
    discriminator = part.get("discriminator")
    if isinstance(discriminator, Mapping):
        shape.discriminator = discriminator.get("propertyName")
    shape.default = part.get("default", shape.default)
    known = _STRUCTURE | _TALK | LIMITS
    shape.other |= {key: value for key, value in part.items() if key not in known and not key.startswith("x-")}


def _both(one: frozenset[str], two: frozenset[str]) -> frozenset[str]:
    found = one & two
    numbers = {"integer"} if ("integer" in one | two and "number" in one | two) else set()
    return found | numbers


def _merge_limits(limits: dict[str, Any], part: Mapping[str, Any]) -> None:
    part = dict(part)
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if part.get(exclusive) is True:  # OpenAPI 3.0 spells it as a flag
            part[exclusive] = part.pop(bound, None)
        elif part.get(exclusive) is False:
            del part[exclusive]
    for key in LIMITS & part.keys():
        value = part[key]
        if value is None or value is False or (value == 0 and key in _FROM_ZERO):
            continue
        if key in limits and key in LOWER:
            value = max(value, limits[key])
        elif key in limits and key in UPPER:
            value = min(value, limits[key])
        limits[key] = value


def _also(one: Any, two: Any) -> Any:
    """A raw schema that asks for both."""
    if one is None or one is True or one == {}:
        return two
    found = _distinct([one, two])
    return found[0] if len(found) == 1 else {"allOf": found}


def _distinct(parts: list[Any]) -> list[Any]:
    """The parts once each, in a fixed order, those of a bare allOf one by one.

    However recursive schemas nest their allOf, only finitely many combinations of their parts can then come up.
    """
    flat: dict[str, Any] = {}
    for part in parts:
        if isinstance(part, Mapping) and set(part) == {"allOf"} and isinstance(part["allOf"], list):
            flat |= {json.dumps(inner, sort_keys=True): inner for inner in _distinct(part["allOf"])}
        else:
            flat[json.dumps(part, sort_keys=True)] = part
    return [flat[text] for text in sorted(flat)]
