"""The comparer: every kind of change is named, where it is, and whether it breaks a caller."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from release.checks.changes import Severity
from release.checks.openapi import compare

BASE: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "translator", "version": "1"},
    "paths": {
        "/translate": {
            "post": {
                "operationId": "translate",
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Request"}}},
                },
                "responses": {
                    "200": {
                        "description": "ok",
                        "headers": {"X-Model": {"required": True, "schema": {"type": "string"}}},
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}},
                    },
                    "422": {"description": "no"},
                },
            }
        },
        "/jobs/{job}": {
            "parameters": [{"name": "job", "in": "path", "required": True, "schema": {"type": "integer"}}],
            "get": {
                "parameters": [
                    {"name": "wait", "in": "query", "schema": {"type": "integer", "minimum": 0, "maximum": 60}},
                    {"name": "order", "in": "query", "schema": {"enum": ["up", "down"]}},
                ],
                "responses": {"200": {"description": "ok", "content": {"application/json": {"schema": {
                    "$ref": "#/components/schemas/Tree"}}, "text/plain": {}}}},
            },
        },
    },
    "components": {
        "schemas": {
            "Request": {
                "type": "object",
                "required": ["text"],
                "properties": {
                    "text": {"anyOf": [{"type": "string", "maxLength": 5000},
                                       {"type": "array", "items": {"type": "string"}}]},
                    "beam": {"type": "integer", "maximum": 8},
                    "target": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                },
            },
            "Answer": {
                "type": "object",
                "required": ["translation", "state"],
                "properties": {
                    "translation": {"type": "string"},
                    "seconds": {"type": "number", "format": "double"},
                    "state": {"type": "string", "enum": ["done", "cut"]},
                },
            },
            "Tree": {
                "allOf": [
                    {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
                    {"properties": {"children": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}}},
                ]
            },
        },
        "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}},
    },
}  # fmt: skip

POST = ("paths", "/translate", "post")
GET = ("paths", "/jobs/{job}", "get")
REQUEST = ("components", "schemas", "Request")
ANSWER = ("components", "schemas", "Answer")
BODY = "POST /translate request application/json"
RESULT = "POST /translate response 200 application/json"
JOBS = "GET /jobs/{job}"
ABSENT = object()


def edited(path: tuple[Any, ...], value: Any, base: dict[str, Any] = BASE) -> dict[str, Any]:
    """A copy of `base` with the place `path` set to `value`, or removed."""
    document = copy.deepcopy(base)
    node: Any = document
    for key in path[:-1]:
        node = node[key]
    if value is ABSENT:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return document


BREAKING = [
    (("paths", "/translate"), ABSENT, "POST /translate was removed"),
    (POST, ABSENT, "POST /translate was removed"),
    ((*POST, "responses", "200"), ABSENT, "POST /translate response 200 was removed"),
    ((*POST, "responses", "200", "headers", "X-Model"), ABSENT,
     "POST /translate response 200 header X-Model was removed"),
    ((*GET, "responses", "200", "content", "text/plain"), ABSENT, f"{JOBS} response 200 text/plain was removed"),
    ((*ANSWER, "properties", "seconds"), ABSENT, f"{RESULT} /seconds was removed"),
    ((*ANSWER, "required"), ["translation"], f"{RESULT} /state is now optional"),
    ((*ANSWER, "properties", "translation", "type"), "integer",
     f"{RESULT} /translation type was string, is now integer"),
    ((*ANSWER, "properties", "translation"), {"anyOf": [{"type": "string"}, {"type": "null"}]},
     f"{RESULT} /translation can now be null"),
    ((*ANSWER, "properties", "translation"), {"type": "string", "nullable": True},
     f"{RESULT} /translation can now be null"),
    ((*ANSWER, "properties", "translation"), {"anyOf": [{"type": "string"}, {"type": "integer"}]},
     f"{RESULT} /translation can now also be integer"),
    ((*ANSWER, "properties", "translation"), {}, f"{RESULT} /translation type was string, is now anything"),
    ((*ANSWER, "properties", "seconds", "format"), "float", f"{RESULT} /seconds format was double, is now float"),
    ((*ANSWER, "properties", "state", "enum"), ["done"], f'{RESULT} /state enum value "cut" was removed'),
    (("components", "schemas", "Tree", "allOf", 0, "required"), [],
     f"{JOBS} response 200 application/json /name is now optional"),
    (("components", "schemas", "Tree", "allOf", 1, "properties"), {},
     f"{JOBS} response 200 application/json /children was removed"),
    ((*REQUEST, "required"), ["text", "beam"], f"{BODY} /beam is now required"),
    ((*REQUEST, "properties", "beam", "type"), "string", f"{BODY} /beam type was integer, is now string"),
    ((*REQUEST, "properties", "beam", "maximum"), 4, f"{BODY} /beam maximum was 8, is now 4"),
    ((*REQUEST, "properties", "target"), {"type": "string"}, f"{BODY} /target can no longer be null"),
    ((*REQUEST, "properties", "text", "anyOf", 1), ABSENT, f"{BODY} /text no longer takes array of string"),
    ((*REQUEST, "properties", "text", "anyOf", 0, "maxLength"), 100,
     f"{BODY} /text/<string> maxLength was 5000, is now 100"),
    ((*REQUEST, "properties", "beam", "not"), {"const": 3},
     f"{BODY} /beam not was changed, in a way that is not understood here"),
    ((*POST, "requestBody", "content"), {"multipart/form-data": {}}, f"{BODY} was removed"),
    ((*POST, "requestBody"), ABSENT, "POST /translate request no longer takes a body"),
    ((*GET, "requestBody"), {"required": True, "content": {}}, f"{JOBS} request now needs a body"),
    ((*GET, "parameters", 0, "required"), True, f"{JOBS} query parameter wait is now required"),
    ((*GET, "parameters", 0, "schema", "maximum"), 10, f"{JOBS} query parameter wait maximum was 60, is now 10"),
    ((*GET, "parameters", 0, "schema", "minimum"), 1, f"{JOBS} query parameter wait minimum was 0, is now 1"),
    ((*GET, "parameters", 1, "schema", "enum"), ["up"], f'{JOBS} query parameter order enum value "down" was removed'),
    ((*GET, "parameters", 0, "name"), "until", None),
    ((*GET, "security"), [{"key": []}], f"{JOBS} security none is no longer enough"),
    (("security",), [{"key": []}], f"{JOBS} security none is no longer enough"),
    (("servers",), [{"url": "https://example.org/v2"}], "servers the base path / was removed"),
    ((*ANSWER, "properties", "translation"), {"anyOf": [{"anyOf": [{"type": "string"}, {"type": "null"}]},
                                                        {"type": "string", "maxLength": 5}]},
     f"{RESULT} /translation can now be null"),
    ((*REQUEST, "properties", "beam"), {"anyOf": [{"type": "null"}]},
     f"{BODY} /beam type was integer, is now null"),
    ((*GET, "parameters", 0, "explode"), False, f"{JOBS} query parameter wait explode was True, is now False"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "expected"), [row for row in BREAKING if row[2]])
def test_a_change_that_breaks_a_caller_is_named(path: tuple[Any, ...], value: Any, expected: str) -> None:
    changes = compare(BASE, edited(path, value))
    assert expected in [str(change) for change in changes if change.severity is Severity.BREAKING]


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("paths", "/detect"), {"get": {"responses": {}}}, "GET /detect was added"),
        ((*ANSWER, "properties", "model"), {"type": "string"}, f"{RESULT} /model was added"),
        ((*ANSWER, "required"), ["translation", "state", "seconds"], f"{RESULT} /seconds is now required"),
        ((*ANSWER, "properties", "seconds", "type"), "integer", f"{RESULT} /seconds type was number, is now integer"),
        ((*ANSWER, "properties", "state", "enum"), ["done", "cut", "new"],
         f'{RESULT} /state enum value "new" was added'),
        ((*REQUEST, "properties", "mode"), {"type": "string"}, f"{BODY} /mode was added"),
        ((*REQUEST, "required"), [], f"{BODY} /text is now optional"),
        ((*REQUEST, "properties", "beam", "type"), "number", f"{BODY} /beam type was integer, is now number"),
        ((*REQUEST, "properties", "beam", "maximum"), 16, f"{BODY} /beam maximum was 8, is now 16"),
        ((*REQUEST, "properties", "beam"), {"anyOf": [{"type": "integer", "maximum": 8}, {"type": "string"}]},
         f"{BODY} /beam now also takes string"),
        ((*REQUEST, "properties", "beam"), ABSENT, f"{BODY} /beam was removed"),
        ((*POST, "responses", "422"), ABSENT, "POST /translate response 422 was removed"),
        ((*GET, "parameters", 0), {"name": "wait", "in": "query", "schema": {"type": "integer"}}, None),
        ((*POST, "deprecated"), True, "POST /translate is now deprecated"),
        (("servers",), [{"url": "http://elsewhere:9000/"}], None),
        # The same, said in other words.
        ((*GET, "parameters", 0), {"name": "wait", "in": "query", "style": "form", "explode": True,
                                   "schema": {"type": "integer", "minimum": 0, "maximum": 60}}, None),
        ((*GET, "parameters", 1, "schema"), {"type": "string", "enum": ["up", "down"]}, None),
        ((*REQUEST, "properties", "text", "anyOf", 0, "minLength"), 0, None),
        ((*REQUEST, "properties", "text", "anyOf"), [{"anyOf": [{"type": "array", "items": {"type": "string"}}]},
                                                     {"anyOf": [{"type": "string"}, {"type": "boolean"}]}], None),
        ((*POST, "responses"), {"2XX": BASE["paths"]["/translate"]["post"]["responses"]["200"]}, None),
    ],
)  # fmt: skip
def test_a_change_that_breaks_nobody_is_listed_and_no_more(
    path: tuple[Any, ...], value: Any, expected: str | None
) -> None:
    changes = compare(BASE, edited(path, value))
    assert [str(change) for change in changes if change.severity is Severity.BREAKING] == []
    assert expected is None or expected in [str(change) for change in changes]


def test_a_new_required_parameter_breaks_and_an_optional_one_does_not() -> None:
    parameters = BASE["paths"]["/jobs/{job}"]["get"]["parameters"]
    extra = {"name": "tenant", "in": "header", "schema": {"type": "string"}}
    optional = compare(BASE, edited((*GET, "parameters"), [*parameters, extra]))
    assert [(str(c), c.severity) for c in optional] == [(f"{JOBS} header parameter tenant was added", Severity.INFO)]
    needed = compare(BASE, edited((*GET, "parameters"), [*parameters, extra | {"required": True}]))
    assert [str(c) for c in needed if c.severity is Severity.BREAKING] == [
        f"{JOBS} header parameter tenant was added and is required"
    ]


def test_a_property_takes_what_further_properties_took() -> None:
    mapping = {"type": "object", "additionalProperties": {"type": "integer"}}
    old = edited((*REQUEST, "properties", "extra"), mapping)
    for new, text in (
        (mapping | {"properties": {"a": {"type": "string"}}}, "/extra/a type was integer, is now string"),
        (mapping | {"properties": {"a": {"type": "number"}}}, None),
    ):
        changes = compare(old, edited((*REQUEST, "properties", "extra"), new))
        breaks = [str(change) for change in changes if change.severity is Severity.BREAKING]
        assert breaks == ([f"{BODY} {text}"] if text else [])


def test_a_new_error_has_the_shape_that_was_promised_for_all_others() -> None:
    def error(kind: str) -> dict[str, Any]:
        return {"description": "no", "content": {"application/json": {"schema": {"type": kind}}}}

    old = edited((*POST, "responses", "default"), error("object"))
    same = edited((*POST, "responses", "503"), error("object"), old)
    other = edited((*POST, "responses", "503"), error("string"), old)
    assert [c for c in compare(old, same) if c.severity is Severity.BREAKING] == []
    breaks = [str(c) for c in compare(old, other) if c.severity is Severity.BREAKING]
    assert breaks == ["POST /translate response 503 application/json type was object, is now string"]


def test_a_renamed_path_parameter_is_the_same_path_to_a_caller() -> None:
    new = copy.deepcopy(BASE)
    item = new["paths"].pop("/jobs/{job}")
    item["parameters"][0]["name"] = "id"
    new["paths"]["/jobs/{id}"] = item
    assert compare(BASE, new) == []


def test_moving_a_schema_behind_a_reference_changes_nothing() -> None:
    inline = edited(
        (*POST, "requestBody", "content", "application/json", "schema"), BASE["components"]["schemas"]["Request"]
    )
    assert compare(BASE, inline) == [] == compare(inline, BASE)


def test_a_change_deep_in_a_recursive_schema_is_found_once() -> None:
    new = edited(("components", "schemas", "Tree", "allOf", 1, "properties", "children", "items"), {"type": "string"})
    assert [str(change) for change in compare(BASE, new)] == [
        f"{JOBS} response 200 application/json /children/[] type was object, is now string"
    ]


def test_schemas_that_refer_to_each_other_in_a_circle_end() -> None:
    def document(kind: str) -> dict[str, Any]:
        components = {
            "A": {"type": "object", "properties": {"b": {"$ref": "#/components/schemas/B"}}},
            "B": {"oneOf": [{"$ref": "#/components/schemas/A"}, {"$ref": "#/components/schemas/C"}]},
            "C": {"type": "object", "properties": {"b": {"$ref": "#/components/schemas/B"}, "n": {"type": kind}}},
            "Loop": {"$ref": "#/components/schemas/Loop"},
        }
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/A"}}}
        paths = {"/a": {"get": {"responses": {"200": {"content": content}}}}}
        return {"openapi": "3.0.3", "paths": paths, "components": {"schemas": components}}

    assert compare(document("string"), document("string")) == []
    assert any("/b/<C>/n type was string" in str(change) for change in compare(document("string"), document("integer")))


def test_read_only_properties_are_not_asked_of_callers() -> None:
    field = {"type": "string", "readOnly": True}
    new = edited((*REQUEST, "properties", "id"), field)
    new["components"]["schemas"]["Request"]["required"] = ["text", "id"]
    assert compare(BASE, new) == []


def test_additional_properties_that_are_forbidden_break_senders() -> None:
    changes = [
        str(c) for c in compare(BASE, edited((*REQUEST, "additionalProperties"), False)) if c.severity == "breaking"
    ]
    assert changes == [f"{BODY} /{{}} further properties are no longer allowed"]


def test_exclusive_limits_of_openapi_3_0_and_3_1_are_the_same() -> None:
    old = edited((*REQUEST, "properties", "beam"), {"type": "integer", "minimum": 1, "exclusiveMinimum": True})
    new = edited((*REQUEST, "properties", "beam"), {"type": "integer", "exclusiveMinimum": 1})
    assert compare(old, new) == []


def test_security_that_asks_for_less_is_fine_and_a_changed_scheme_is_not() -> None:
    old = edited((*GET, "security"), [{"key": []}])
    assert [c for c in compare(old, edited((*GET, "security"), [{"key": []}, {}])) if c.severity == "breaking"] == []
    moved = edited(("components", "securitySchemes", "key", "in"), "query", old)
    assert f"{JOBS} security scheme key was changed" in map(str, compare(old, moved))


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "no `openapi` version"),
        ({"swagger": "2.0", "openapi": "2.0"}, "not understood"),
        ([], "no `openapi` version"),
        (edited((*POST, "requestBody"), {"$ref": "#/components/none"}), "leads nowhere"),
        (edited((*POST, "requestBody"), {"$ref": "other.json#/x"}), "outside of the document"),
        (edited((*POST, "responses"), ["x"]), "not a sound OpenAPI document"),
    ],
)
def test_what_cannot_be_compared_is_an_error_and_never_no_change(document: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        compare(BASE, document)


def test_text_can_be_written_into_a_manifest_without_quotes() -> None:
    """A colon and a space, or a blank and a hash, would make something else of it in YAML."""
    for path, value, expected in BREAKING:
        if expected:
            texts = [str(change) for change in compare(BASE, edited(path, value))]
            assert not any(": " in text or " #" in text for text in texts)


# Documents out of thin air: objects within objects, alternatives, references, recursion.
NAMES = ["Alpha", "Beta", "Gamma"]
leaves = st.sampled_from(
    [{"type": "string"}, {"type": "integer", "minimum": 1}, {"type": "number"}, {"type": "boolean"},
     {"type": "string", "enum": ["a", "b"]}, {"type": ["string", "null"]}, {"type": "string", "nullable": True}, {},
     True]
)  # fmt: skip
references = st.sampled_from([{"$ref": f"#/components/schemas/{name}"} for name in NAMES])


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    fields = st.dictionaries(st.sampled_from(["a", "b", "c/d", "items"]), inner, min_size=1, max_size=3)
    objects = st.builds(
        lambda fields, some: {"type": "object", "properties": fields, "required": sorted(fields)[:some]},
        fields,
        st.integers(0, 3),
    )
    arrays = inner.map(lambda items: {"type": "array", "items": items})
    several = st.sampled_from(["anyOf", "oneOf", "allOf"])
    return (
        objects
        | arrays
        | st.builds(lambda word, parts: {word: parts}, several, st.lists(inner, min_size=1, max_size=3))
    )


schemas = st.recursive(leaves | references, containers, max_leaves=6)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for path in draw(st.lists(st.sampled_from(["/a", "/b/{x}", "/c"]), min_size=1, max_size=3, unique=True)):
        paths[path] = {}
        for method in draw(st.lists(st.sampled_from(["get", "post"]), min_size=1, max_size=2, unique=True)):
            paths[path][method] = {
                "requestBody": {"content": {"application/json": {"schema": draw(schemas)}}},
                "responses": {"200": {"content": {"application/json": {"schema": draw(schemas)}}}},
            }
    components = {name: draw(schemas) for name in NAMES}
    return {"openapi": "3.1.0", "paths": paths, "components": {"schemas": components}}


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_a_document_compared_with_itself_has_no_change(document: dict[str, Any]) -> None:
    assert compare(document, json.loads(json.dumps(document))) == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_components_that_only_got_other_names_change_nothing(document: dict[str, Any]) -> None:
    """Nothing is equal by its text here, so every schema is compared in earnest."""
    text = json.dumps(document)
    for name in NAMES:
        text = text.replace(f'"{name}"', f'"{name}Renamed"').replace(f'schemas/{name}"', f'schemas/{name}Renamed"')
    try:
        assert compare(document, json.loads(text)) == []
    except ValueError as error:
        assume("too entangled" not in str(error))
        raise


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents(), st.data())
def test_a_removed_operation_or_response_field_is_always_found(document: dict[str, Any], data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(document["paths"])))
    method = data.draw(st.sampled_from(sorted(document["paths"][path])))
    new = copy.deepcopy(document)
    del new["paths"][path][method]
    assert f"{method.upper()} {path} was removed" in map(str, compare(document, new))

    content = {
        "application/json": {"schema": {"type": "object", "properties": {"kept": True, "gone": data.draw(schemas)}}}
    }
    document["paths"][path][method]["responses"]["200"]["content"] = content
    new = copy.deepcopy(document)
    del new["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["gone"]
    place = f"{method.upper()} {path} response 200 application/json"
    assert f"{place} /gone was removed" in map(str, compare(document, new))
    assert f"{place} /gone was added" in map(str, compare(new, document))


def test_descriptions_that_fastapi_writes_are_compared() -> None:
    from fastapi import FastAPI
    from pydantic import BaseModel, Field

    def service(second: bool) -> dict[str, Any]:
        app = FastAPI()

        class Answer(BaseModel):
            translation: str | list[str]
            took: float | None = None

        class Better(BaseModel):
            translation: str | list[str]
            took: float | None = None
            model_version: str

        class Ask(BaseModel):
            text: str | list[str] = Field(max_length=100 if second else 5000)
            target: str | None = None

        def translate(ask, beam=4):  # type: ignore[no-untyped-def]
            raise NotImplementedError

        translate.__annotations__ = {"ask": Ask, "beam": int}
        app.post("/translate", response_model=Better if second else Answer)(translate)
        return app.openapi()

    assert compare(service(False), service(False)) == []
    changes = compare(service(False), service(True))
    breaks = [str(change) for change in changes if change.severity is Severity.BREAKING]
    assert f"{BODY} /text/<string> maxLength was 5000, is now 100" in breaks
    assert f"{RESULT} /model_version was added" in map(str, changes)
