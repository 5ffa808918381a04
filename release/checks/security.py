"""What a caller has to show, compared in two OpenAPI documents: who met the old description still has to get in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from release.checks.changes import Change, breaking, info
from release.checks.shapes import Document

Side = tuple[Document, Mapping[str, Any]]  # a document, and one of its operations


def compare(place: str, old: Side, new: Side) -> Iterator[Change]:
    """A caller meets one of the old alternatives; one of the new ones has to ask for nothing more."""
    before, after = _alternatives(*old), _alternatives(*new)
    for way_in in before:
        if not any(_asks_no_more(other, way_in) for other in after):
            yield breaking(place, f"security {_spell(way_in)} is no longer enough")
    schemes = {name for way_in in before for name in way_in} & {name for way_in in after for name in way_in}
    for name in sorted(schemes):
        one, two = _scheme(old[0], name), _scheme(new[0], name)
        if one != two:
            yield breaking(place, f"security scheme {name} was changed")
    for way_in in after:
        if way_in not in before and all(not _asks_no_more(way_in, other) for other in before):
            yield info(place, f"security {_spell(way_in)} is now accepted")


def _alternatives(document: Document, operation: Mapping[str, Any]) -> list[dict[str, list[str]]]:
    """The alternatives in force; one that asks for nothing where none is needed."""
    found = operation.get("security", document.data.get("security"))
    return [dict(way_in) for way_in in found] if found else [{}]


def _scheme(document: Document, name: str) -> dict[str, Any]:
    schemes = (document.data.get("components") or {}).get("securitySchemes") or {}
    return {key: value for key, value in document.follow(schemes.get(name)).items() if key != "description"}


def _asks_no_more(new: dict[str, list[str]], old: dict[str, list[str]]) -> bool:
    return all(name in old and set(scopes or ()) <= set(old[name] or ()) for name, scopes in new.items())


def _spell(way_in: dict[str, list[str]]) -> str:
    names = [f"{name}({', '.join(scopes)})" if scopes else name for name, scopes in way_in.items()]
    return " and ".join(names) or "none"
