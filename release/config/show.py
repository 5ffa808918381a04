"""Rows for `release config show`: every value, where it came from, secrets hidden."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from release.config import shape
from release.config.manifest import Manifest
from release.config.origin import KeyPath, Origin, Source, dotted

HIDDEN = "(hidden)"


@dataclass(frozen=True)
class Row:
    """`value` is text as it could stand in the manifest, HIDDEN, or `-` where there is none."""

    key: str
    value: str
    origin: str


def rows(manifest: Manifest, provenance: Mapping[str, Origin] | None = None) -> list[Row]:
    """One row per leaf key in the model's order. Without provenance (a manifest from the ledger) origins are empty."""
    known = provenance or {}
    missing = "default" if provenance is not None else ""
    return [
        Row(dotted(path), _text(path, value), str(known[key]) if (key := dotted(path)) in known else missing)
        for path, value in _leaves(manifest.model_dump(mode="json", by_alias=True), ())
    ]


def given(rows_: list[Row]) -> list[Row]:
    """Only what someone set."""
    return [row for row in rows_ if row.origin != Source.DEFAULT]


def _leaves(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    else:
        yield path, value


def _text(path: KeyPath, value: Any) -> str:
    if value is None or value == [] or value == {}:
        return "-"
    if isinstance(value, list):
        return ", ".join(_text((*path, index), item) for index, item in enumerate(value))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_text((*path, key), item)}" for key, item in value.items()) + "}"
    if shape.hidden(path, value):
        return HIDDEN
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
