"""Two JSON Schemas compared from the side of a caller: of what it sends (input), or of what it gets (output).

A caller that keeps to the old description must still be understood, and must still understand. So inputs may only
become wider, and outputs only narrower, except that a removed enum value is always named as breaking.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from release.checks import values
from release.checks.changes import Change, Severity, Way, breaking, info, warning
from release.checks.shapes import Document, Shape
from release.checks.values import show

_MOST_COMPARISONS = 10_000


@dataclass
class _Frame:
    """How far up the pairs of schemas reach that a result took for equal, because they were under comparison."""

    lowest: int


class Schemas:
    """Compares schemas of two documents. Results are kept, for components are used again and again."""

    def __init__(self, old: Document, new: Document) -> None:
        self._old, self._new = old, new
        self._known: dict[tuple[str, str, Way], list[Change]] = {}
        self._open: dict[tuple[str, str, Way], int] = {}
        self._frames: list[_Frame] = []
        self._count = 0

    def compare(self, old: Any, new: Any, way: Way, *, null: bool = True) -> list[Change]:
        """The changes, their places relative (`/name`, `/[]`). `null` False leaves null out of it.

        A pair that is under comparison further up is taken for equal there: that is how recursive schemas end. Raises
        ValueError for references that lead nowhere, and for schemas too entangled to compare.
        """
        before, after = json.dumps(old, sort_keys=True), json.dumps(new, sort_keys=True)
        key = (f"{null}{before}", after, way)
        if key in self._known:
            return self._known[key]
        if before == after and self._old.closure(old) == self._new.closure(new):
            self._known[key] = []  # the same text, and the same behind every reference
            return []
        if key in self._open:
            self._frames[-1].lowest = min(self._frames[-1].lowest, self._open[key])
            return []
        self._count += 1
        if self._count > _MOST_COMPARISONS:
            raise ValueError("the schemas are too entangled to be compared")
        depth = len(self._frames)
        self._open[key] = depth
        self._frames.append(_Frame(depth))
        try:
            found = list(dict.fromkeys(self._shapes(self._old.shape(old), self._new.shape(new), old, new, way, null)))
        finally:
            frame = self._frames.pop()
            del self._open[key]
        if frame.lowest >= depth:
            self._known[key] = found  # it took nothing for granted
        elif self._frames:
            self._frames[-1].lowest = min(self._frames[-1].lowest, frame.lowest)
        return found

    def _shapes(self, old: Shape, new: Shape, raw_old: Any, raw_new: Any, way: Way, null: bool) -> Iterator[Change]:
        if null:
            yield from values.nullable(old, new, way)
        if old.discriminator != new.discriminator and old.discriminator is not None:
            yield breaking("", f"discriminator was {old.discriminator}, is now {new.discriminator or 'absent'}")
        if old.alternatives or new.alternatives:
            yield from self._alternatives(old.alternatives or [raw_old], new.alternatives or [raw_new], way)
            return
        types = list(values.types(old, new, way))
        yield from types
        if _breaks(types):
            return
        yield from values.compare(old, new, way)
        if way is Way.INPUT and old.default != new.default:
            yield warning("", f"default was {show(old.default)}, is now {show(new.default)}")
        yield from self._properties(old, new, way)
        yield from self._additional(old, new, way)
        yield from self._items(old, new, way)

    def _properties(self, old: Shape, new: Shape, way: Way) -> Iterator[Change]:
        before, after = self._visible(self._old, old, way), self._visible(self._new, new, way)
        for name, raw in before.items():
            place = f"/{pointer(name)}"
            if name not in after:
                lost = breaking if way is Way.OUTPUT or new.additional is False else warning
                yield lost(place, "was removed")
                if way is Way.INPUT and isinstance(new.additional, dict):  # it is one of the further ones now
                    yield from (change.under(place) for change in self.compare(raw, new.additional, way))
                continue
            for change in self.compare(raw, after[name], way):
                yield change.under(place)
            was, now = name in old.required, name in new.required
            if was != now:
                worse = now if way is Way.INPUT else was
                yield (breaking if worse else info)(place, f"is now {'required' if now else 'optional'}")
        undescribed = old.required - old.properties.keys()  # the name is all that there was
        for name in (name for name in after if name not in before):
            needed = way is Way.INPUT and name in new.required - undescribed
            place = f"/{pointer(name)}"
            yield breaking(place, "was added and is required") if needed else info(place, "was added")
            if way is Way.OUTPUT and name in undescribed - new.required:
                yield breaking(place, "is now optional")
            if isinstance(old.additional, dict) or name in undescribed:  # until now it was one of the further ones
                yield from (change.under(place) for change in self.compare(old.additional, after[name], way))
        if way is Way.INPUT:
            for name in sorted(new.required - old.required - new.properties.keys()):
                yield breaking(f"/{pointer(name)}", "is now required")
        else:
            for name in sorted(undescribed - new.required - new.properties.keys()):
                yield breaking(f"/{pointer(name)}", "is now optional")

    def _visible(self, document: Document, shape: Shape, way: Way) -> dict[str, Any]:
        """Properties without those that never travel this way: readOnly in inputs, writeOnly in outputs."""
        hidden = "readOnly" if way is Way.INPUT else "writeOnly"
        return {name: raw for name, raw in shape.properties.items() if not _flag(document, raw, hidden)}

    def _additional(self, old: Shape, new: Shape, way: Way) -> Iterator[Change]:
        before, after = old.additional, new.additional
        if before == after and not isinstance(before, dict):
            return
        if isinstance(before, dict) and isinstance(after, dict):
            yield from (change.under("/{}") for change in self.compare(before, after, way))
        elif after is False:
            yield (breaking if way is Way.INPUT or isinstance(before, dict) else info)(
                "/{}", "further properties are no longer allowed"
            )
        elif isinstance(after, dict):
            text = "further properties are now restricted"
            yield (breaking if way is Way.INPUT and before is True else info)("/{}", text)
        else:
            text = "further properties are now unrestricted"
            yield (warning if way is Way.OUTPUT and isinstance(before, dict) else info)("/{}", text)

    def _items(self, old: Shape, new: Shape, way: Way) -> Iterator[Change]:
        if old.items is not None or new.items is not None:
            before = True if old.items is None else old.items
            after = True if new.items is None else new.items
            yield from (change.under("/[]") for change in self.compare(before, after, way))
        if len(old.prefix) != len(new.prefix):
            yield breaking("/[]", f"had {len(old.prefix)} described places, has now {len(new.prefix)}")
        for number, (one, two) in enumerate(zip(old.prefix, new.prefix, strict=False)):
            yield from (change.under(f"/[{number}]") for change in self.compare(one, two, way))

    def _alternatives(self, old: list[Any], new: list[Any], way: Way) -> Iterator[Change]:
        """Inputs: what each old alternative took is taken by a new one. Outputs: each new one was an old one before."""
        have, offer = (old, new) if way is Way.INPUT else (new, old)
        taken: set[int] = set()
        for raw in have:
            changes = [
                self.compare(*((raw, other) if way is Way.INPUT else (other, raw)), way, null=False) for other in offer
            ]
            # A component is itself first of all, even where another one happens to be wide enough to cover it.
            named = [n for n, other in enumerate(offer) if _name(raw) is not None and _name(raw) == _name(other)]
            clean = [n for n, found in enumerate(changes) if not _breaks(found)]
            akin = [n for n, other in enumerate(offer) if label(raw) == label(other)]
            taken.update(clean)
            match = next(iter(named or sorted(clean, key=lambda n: len(changes[n])) or akin), None)
            if match is not None:
                taken.add(match)
                place = f"/<{label(raw)}>" if _breaks(changes[match]) else ""
                yield from (change.under(place) for change in changes[match])
            elif way is Way.INPUT:
                yield breaking("", f"no longer takes {label(raw)}")
            else:
                yield breaking("", f"can now also be {label(raw)}")
        for number, raw in enumerate(offer):
            if number not in taken:
                text = f"now also takes {label(raw)}" if way is Way.INPUT else f"is no longer {label(raw)}"
                yield info("", text)


def _breaks(changes: list[Change]) -> bool:
    return any(change.severity is Severity.BREAKING for change in changes)


def _flag(document: Document, raw: Any, name: str) -> bool:
    seen = 0
    while isinstance(raw, dict) and seen < 50:
        if raw.get(name) is True:
            return True
        raw = document.target(raw["$ref"]) if "$ref" in raw else None
        seen += 1
    return False


def pointer(name: str) -> str:
    """A key as a JSON pointer spells it (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def _name(raw: Any) -> str | None:
    """What a component is called; None for an alternative that is written in place."""
    if isinstance(raw, dict) and isinstance(raw.get("allOf"), list) and raw["allOf"]:
        raw = raw["allOf"][-1]
    return label(raw) if isinstance(raw, dict) and ("$ref" in raw or "title" in raw) else None


def label(raw: Any) -> str:
    """A short name for an alternative: the component it refers to, its title, or its type."""
    if not isinstance(raw, dict):
        return "anything" if raw is True else "nothing"
    if "$ref" in raw:
        return str(raw["$ref"]).rpartition("/")[2]
    if "title" in raw:
        return str(raw["title"])
    if "const" in raw or "enum" in raw:
        return show(raw.get("const", raw.get("enum")))
    if isinstance(raw.get("allOf"), list) and raw["allOf"]:
        return label(raw["allOf"][-1])
    kind = raw.get("type")
    if kind == "array":
        return f"array of {label(raw.get('items', True))}"
    return " or ".join(kind) if isinstance(kind, list) else str(kind or "an unnamed alternative")
