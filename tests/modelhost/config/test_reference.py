"""docs/modelhost-configuration.md has every key of the configuration with its default, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import yaml
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from modelhost.config.model import Settings

PAGE = Path(__file__).parents[3] / "docs" / "modelhost-configuration.md"
ROW = re.compile(r"^\| `([^`]+)` \|([^|]*)\| .+ \|$", re.MULTILINE)


def _told() -> dict[str, str]:
    rows = ROW.findall(PAGE.read_text())
    assert len(dict(rows)) == len(rows), "a key stands there twice"
    return {key: default.strip() for key, default in rows}


def _below(kind: Any) -> tuple[type[BaseModel], str] | None:
    """The section that a field holds, and how a path leads into it."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind, ""
    parts, origin = get_args(kind), get_origin(kind)
    joint = ".<name>" if origin is Mapping else "[]" if origin is tuple else ""
    for part in parts[1:] if origin is Mapping else parts:
        if (found := _below(part)) is not None:
            return found[0], joint + found[1]
    return None


def _keys(section: type[BaseModel], before: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in section.model_fields.items():
        key = f"{before}{field.alias or name}"
        yield key, field
        if (below := _below(field.annotation)) is not None:
            yield from _keys(below[0], f"{key}{below[1]}.")


def test_every_key_is_described_and_nothing_else() -> None:
    keys = [key for key, _ in _keys(Settings)]
    assert {"registry.over_network", "adapters[].from", "components.<name>.versions.<name>.device"} < set(keys)
    assert sorted(_told()) == sorted(keys)


def test_every_default_is_that_of_the_model() -> None:
    told = _told()
    for key, field in _keys(Settings):
        said = told[key]
        if field.is_required():
            assert said == "required", key
        elif not said:
            assert field.default in (None, (), {}) or isinstance(field.default, BaseModel), key
        else:
            kind = TypeAdapter(Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation)
            assert kind.validate_python(yaml.safe_load(said.strip("`"))) == field.default, key
