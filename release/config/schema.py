"""JSON Schema of the manifest for editors: draft 2020-12, every key described."""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from release.config.manifest import Manifest

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^{}]*)?\}"}


class _Generate(GenerateJsonSchema):
    schema_dialect = DIALECT


def schema() -> dict[str, Any]:
    """The schema as values. A `${NAME}` is valid wherever the manifest expects a number or a boolean."""
    found = Manifest.model_json_schema(by_alias=True, schema_generator=_Generate, mode="validation")
    for part in (found, *found.get("$defs", {}).values()):
        for key, value in part.get("properties", {}).items():
            part["properties"][key] = _refine(value)
        part.pop("title", None)
    found["properties"].pop("_references", None)
    found["patternProperties"] = {"^x-": {"description": "a place for anchors; not read"}}
    return {"$schema": DIALECT, "title": "release.yaml", **found}


def schema_text() -> str:
    """What `release config schema` prints."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _refine(value: dict[str, Any]) -> dict[str, Any]:
    """Without pydantic's titles, which repeat the key; numbers and booleans may be a `${NAME}` too."""
    value.pop("title", None)
    if value.get("type") in ("integer", "number", "boolean"):
        kept: dict[str, Any] = {key: value.pop(key) for key in ("description", "default") if key in value}
        return {"anyOf": [value, _REFERENCE], **kept}
    if value.get("additionalProperties") == {"type": "string"}:
        value["additionalProperties"] = {"type": ["string", "number"]}  # a number is taken as it is written
    return value
