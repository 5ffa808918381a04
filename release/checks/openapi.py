"""Two OpenAPI 3 documents compared from the side of a caller of the old one. Pure: documents in, changes out.

What is not compared: webhooks, callbacks, links, and what documents beyond the reach of `#/…` say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from release.checks import security
from release.checks.changes import Change, Way, breaking, info, warning
from release.checks.schemas import Schemas
from release.checks.shapes import Document

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_TEMPLATE = re.compile(r"\{([^}]*)\}")


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Every change, in the order of the old document. Raises ValueError where one of them cannot be compared."""
    for document in (old, new):
        check(document)
    try:
        return list(dict.fromkeys(_Comparison(Document(old), Document(new)).changes()))
    except (AttributeError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"not a sound OpenAPI document ({error.__class__.__name__}: {error})") from error


def check(document: Any) -> None:
    """Raises ValueError where `document` is no OpenAPI 3 description."""
    if not isinstance(document, Mapping) or not isinstance(document.get("openapi"), str):
        raise ValueError("not an OpenAPI 3 document: it has no `openapi` version")
    if not document["openapi"].startswith("3."):
        raise ValueError(f"OpenAPI {document['openapi']} is not understood, only 3.x")
    if not isinstance(document.get("paths", {}), Mapping):
        raise ValueError("not an OpenAPI document: `paths` is no object")


def operations(document: Mapping[str, Any]) -> int:
    """How many operations it describes."""
    whole = Document(document)
    return sum(method in whole.follow(item) for item in (document.get("paths") or {}).values() for method in METHODS)


class _Comparison:
    def __init__(self, old: Document, new: Document) -> None:
        self.old, self.new = old, new
        self.schemas = Schemas(old, new)

    def changes(self) -> Iterator[Change]:
        yield from self._servers()
        before, after = _paths(self.old), _paths(self.new)
        for key, (path, item) in before.items():
            methods = [method for method in METHODS if method in item]
            if key not in after:
                yield from (breaking(f"{method.upper()} {path}", "was removed") for method in methods)
                continue
            other_path, other = after[key]
            for method in methods:
                place = f"{method.upper()} {path}"
                if method not in other:
                    yield breaking(place, "was removed")
                    continue
                yield from self._operation(place, (path, item, item[method]), (other_path, other, other[method]))
        for key, (path, item) in after.items():
            known = before[key][1] if key in before else {}
            for method in METHODS:
                if method in item and method not in known:
                    yield info(f"{method.upper()} {path}", "was added")

    def _servers(self) -> Iterator[Change]:
        """Only the path of a server's address: hosts differ between slots, and the proxy hides them."""
        before, after = _prefixes(self.old), _prefixes(self.new)
        for prefix in before:
            if prefix not in after:
                yield breaking("servers", f"the base path {prefix} was removed")

    def _operation(
        self, place: str, old: tuple[str, Mapping[str, Any], Any], new: tuple[str, Mapping[str, Any], Any]
    ) -> Iterator[Change]:
        before, after = self.old.follow(old[2]), self.new.follow(new[2])
        if after.get("deprecated") and not before.get("deprecated"):
            yield info(place, "is now deprecated")
        if before.get("operationId") != after.get("operationId"):
            text = f"operationId was {before.get('operationId')}, is now {after.get('operationId')}"
            yield warning(place, text)
        yield from security.compare(place, (self.old, before), (self.new, after))
        yield from self._parameters(place, _parameters(self.old, *old), _parameters(self.new, *new))
        yield from self._body(f"{place} request", before.get("requestBody"), after.get("requestBody"))
        yield from self._responses(place, before.get("responses") or {}, after.get("responses") or {})

    def _parameters(
        self,
        place: str,
        before: dict[tuple[str, str], Mapping[str, Any]],
        after: dict[tuple[str, str], Mapping[str, Any]],
    ) -> Iterator[Change]:
        for key, old in before.items():
            here = f"{place} {old['in']} parameter {old['name']}"
            new = after.get(key)
            if new is None:
                yield warning(here, "was removed")
                continue
            if bool(old.get("required")) != bool(new.get("required")):
                needed = bool(new.get("required"))
                yield (breaking if needed else info)(here, f"is now {'required' if needed else 'optional'}")
            was, now = _spelling(old), _spelling(new)
            for word in was:
                if was[word] != now[word]:
                    yield breaking(here, f"{word} was {was[word]}, is now {now[word]}")
            if ("content" in old) != ("content" in new):
                yield breaking(here, "is written in another way (schema against content)")
            yield from self._schema(here, _parameter_schema(old), _parameter_schema(new), Way.INPUT)
        for key, new in after.items():
            if key not in before:
                here = f"{place} {new['in']} parameter {new['name']}"
                needed = bool(new.get("required"))
                yield breaking(here, "was added and is required") if needed else info(here, "was added")

    def _body(self, place: str, old: Any, new: Any) -> Iterator[Change]:
        before, after = self.old.follow(old), self.new.follow(new)
        needed = bool(after.get("required"))
        if not before:
            if after:
                yield breaking(place, "now needs a body") if needed else info(place, "now takes a body")
            return
        if not after:
            yield breaking(place, "no longer takes a body")
            return
        if needed != bool(before.get("required")):
            yield breaking(place, "now needs a body") if needed else info(place, "no longer needs a body")
        yield from self._content(place, before.get("content") or {}, after.get("content") or {}, Way.INPUT)

    def _responses(self, place: str, old: Mapping[Any, Any], new: Mapping[Any, Any]) -> Iterator[Change]:
        before = {str(code).upper(): self.old.follow(value) for code, value in old.items()}
        after = {str(code).upper(): self.new.follow(value) for code, value in new.items()}
        for code, response in before.items():
            here = f"{place} response {code.lower()}"
            if (covering := _covering(code, after)) is None:
                # An error that no longer comes breaks nobody; a result that no longer comes does.
                yield (warning if code[0] in "45" else breaking)(here, "was removed")
                continue
            yield from self._response(here, response, after[covering])
        for code, response in after.items():
            if code in before:
                continue
            here = f"{place} response {code.lower()}"
            yield (info if code[0] in "45" else warning)(here, "was added")
            if (covering := _covering(code, before)) is not None:  # a caller takes it for what was said of its kind
                yield from self._response(here, before[covering], response)

    def _response(self, place: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
        yield from self._headers(place, old.get("headers") or {}, new.get("headers") or {})
        yield from self._content(place, old.get("content") or {}, new.get("content") or {}, Way.OUTPUT)

    def _headers(self, place: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
        after = {name.lower(): self.new.follow(value) for name, value in new.items()}
        for name, value in old.items():
            here = f"{place} header {name}"
            header = after.get(name.lower())
            if header is None:
                yield breaking(here, "was removed")
                continue
            before = self.old.follow(value)
            if before.get("required") and not header.get("required"):
                yield breaking(here, "is now optional")
            yield from self._schema(here, before.get("schema", True), header.get("schema", True), Way.OUTPUT)

    def _content(self, place: str, old: Mapping[str, Any], new: Mapping[str, Any], way: Way) -> Iterator[Change]:
        after = {_media(name): value for name, value in new.items()}
        for name, value in old.items():
            here = f"{place} {_media(name)}"
            match = next((after[kind] for kind in _wider(_media(name), way) if kind in after), None)
            if match is None:
                yield breaking(here, "was removed")
                continue
            schemas = (self.old.follow(value).get("schema", True), self.new.follow(match).get("schema", True))
            yield from self._schema(here, *schemas, way)
        known = {_media(name) for name in old}
        yield from (info(f"{place} {kind}", "was added") for kind in after if kind not in known)

    def _schema(self, place: str, old: Any, new: Any, way: Way) -> Iterator[Change]:
        for change in self.schemas.compare(old, new, way):
            yield change.under(f"{place} " if change.place else place)


def _paths(document: Document) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Paths by their text without parameter names: `/items/{id}` and `/items/{item}` are the same to a caller."""
    paths = document.data.get("paths") or {}
    return {_TEMPLATE.sub("{}", path): (path, document.follow(item)) for path, item in paths.items()}


def _prefixes(document: Document) -> list[str]:
    servers = document.data.get("servers") or [{"url": "/"}]
    return list(dict.fromkeys(urlsplit(str(server.get("url", "/"))).path.rstrip("/") + "/" for server in servers))


def _parameters(
    document: Document, path: str, item: Mapping[str, Any], operation: Any
) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Parameters of path and operation by place and name; those in the path by their position."""
    names = _TEMPLATE.findall(path)
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for raw in [*(item.get("parameters") or []), *(document.follow(operation).get("parameters") or [])]:
        parameter = document.follow(raw)
        place, name = str(parameter.get("in")), str(parameter.get("name"))
        if place == "path" and name in names:
            key = str(names.index(name))
        else:
            key = name.lower() if place == "header" else name
        found[place, key] = {"in": place, "name": name} | dict(parameter)
    return found


def _spelling(parameter: Mapping[str, Any]) -> dict[str, Any]:
    """How a parameter's value is written, with OpenAPI's defaults filled in."""
    style = parameter.get("style") or ("form" if parameter["in"] in ("query", "cookie") else "simple")
    explode = parameter.get("explode", style == "form")
    return {"style": style, "explode": bool(explode), "allowReserved": bool(parameter.get("allowReserved"))}


def _covering(code: str, described: Mapping[str, Any]) -> str | None:
    """The description that a status code falls under: its own, that of its hundred (`2XX`), or the default."""
    return next((name for name in (code, f"{code[:1]}XX", "DEFAULT") if name in described), None)


def _parameter_schema(parameter: Mapping[str, Any]) -> Any:
    content = parameter.get("content")
    if isinstance(content, Mapping) and content:
        return next(iter(content.values())).get("schema", True)
    return parameter.get("schema", True)


def _media(name: str) -> str:
    return name.partition(";")[0].strip().lower()


def _wider(kind: str, way: Way) -> list[str]:
    """The media types that cover `kind`: itself, and for what is sent also the wildcards."""
    return [kind] if way is Way.OUTPUT else [kind, f"{kind.partition('/')[0]}/*", "*/*"]
