"""JSON Schema for editors, and the reference: whole, described, and in step with the model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from release.config.reference import reference
from release.config.schema import schema, schema_text

SCHEMA = schema()
ROOT = Path(__file__).parents[2]


def accepts(manifest: dict[str, Any]) -> bool:
    return Draft202012Validator(SCHEMA).is_valid(manifest)


def properties(part: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from part.get("properties", {}).items()
    for section in part.get("$defs", {}).values():
        yield from section.get("properties", {}).items()


def test_the_schema_is_valid_draft_2020_12() -> None:
    Draft202012Validator.check_schema(json.loads(schema_text()))
    assert json.loads(schema_text())["$schema"].endswith("2020-12/schema")


def test_every_key_has_a_description() -> None:
    found = list(properties(SCHEMA))
    assert len(found) > 80
    assert [key for key, value in found if not value.get("description")] == []


MINIMAL: dict[str, Any] = {"service": "a", "container": {"port": 1}}


@pytest.mark.parametrize(
    ("more", "valid"),
    [
        ({}, True),
        ({"drain": "30s"}, True),
        ({"drain": 30}, True),
        ({"proxy": {"listen": "${PORT:-8080}"}}, True),
        ({"registry": {"push": "${PUSH}"}}, True),
        ({"labels": {"a": 1}}, True),
        ({"x-env": {"anything": [1]}}, True),
        ({"rollout": {"observe": {"for": "30m"}}}, True),
        ({"checks": {"warmup": {"request": {"json": {"a": [1]}}}}}, True),
        ({"labels": {"a": True}}, False),
        ({"proxy": {"listen": "http"}}, False),
        ({"proxy": {"listn": 1}}, False),
        ({"engine": {"kind": "swarm"}}, False),
        ({"service": None}, False),
    ],
)
def test_the_schema_judges_as_the_loader_does(more: dict[str, Any], valid: bool, manifest_of) -> None:
    assert accepts(MINIMAL | more) is valid
    text = json.dumps(MINIMAL | more)
    environ = {"PUSH": "false"}
    if valid:
        manifest_of(text.replace('"service":', "service:"), environ=environ)
    else:
        with pytest.raises(Exception, match=r"release\.yaml"):
            manifest_of(text.replace('"service":', "service:"), environ=environ)


def test_the_reference_in_docs_is_the_one_the_model_gives() -> None:
    written = (ROOT / "docs" / "manifest.md").read_text(encoding="utf-8")
    assert written == reference(), "run: python -m release.config.reference > docs/manifest.md"


def test_the_reference_has_a_row_for_every_key() -> None:
    text = reference()
    for key, _ in properties(SCHEMA):
        assert f"| `{key}` |" in text
