"""Values from outside the file: `RELEASE__PROXY__LISTEN=9090` in the environment, `--set proxy.listen=9090` as flag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from release.config import shape
from release.config.complaint import Complaint
from release.config.document import Document, Mark, plain, read_value
from release.config.origin import KeyPath, Origin, Source
from release.errors import ManifestError

PREFIX = "RELEASE__"


def from_environment(document: Document, environ: Mapping[str, str]) -> None:
    """Applies every `RELEASE__SECTION__KEY`; names of keys are lower-cased, those of variables are not."""
    for name in sorted(environ):
        if name.startswith(PREFIX) and name != PREFIX:
            path = _path(name.removeprefix(PREFIX).split("__"), "__", document, lower=True)
            _apply(document, path, environ[name], Origin(Source.ENVIRONMENT, name), reference=f"${{{name}}}")


def from_flags(document: Document, overrides: Mapping[str, str]) -> None:
    """Applies every `--set key=value`, after the environment. A secret given so has nothing to be kept by."""
    for key, text in overrides.items():
        path = _path(key.split("."), ".", document, lower=False)
        _apply(document, path, text, Origin(Source.FLAG, f"--set {key}"), reference="")


def _path(parts: list[str], joint: str, document: Document, *, lower: bool) -> KeyPath:
    """The key path that the parts name. Below a mapping such as `env` the rest is one key, kept as written."""
    path: list[str] = []
    annotation: Any = shape.at(())
    for index, part in enumerate(parts):
        if shape.is_mapping(annotation) and shape.is_text(shape.step(annotation, part)):
            path.append(_existing(document, tuple(path), joint.join(parts[index:]), lower=lower))
            break
        name = part.lower() if lower else part
        path.append(name)
        annotation = shape.step(annotation, name)
    return tuple(path)


def _existing(document: Document, above: KeyPath, key: str, *, lower: bool) -> str:
    """The file's own spelling of a key that differs in case only; some systems know upper-case variables only."""
    if not lower:
        return key
    known = [str(path[-1]) for path in document.marks if path[:-1] == above and len(path) == len(above) + 1]
    if key in known:
        return key
    return next((name for name in known if name.lower() == key.lower()), key)


def _apply(document: Document, path: KeyPath, text: str, origin: Origin, reference: str) -> None:
    annotation = shape.at(path)
    for old in [known for known in document.marks if known[: len(path)] == path]:
        del document.marks[old]
    document.marks[path] = Mark(origin, text, plain=True)
    try:
        value = _value(document, path, text, origin, annotation)
    except ManifestError as error:
        document.complaints.append(Complaint(path, f"is no YAML value: {error.message.splitlines()[0]}", origin))
        return
    if shape.hidden(path, value):
        document.marks[path] = Mark(origin, text, plain=True, reference=reference)
    holder = document.value
    for index, key in enumerate(path[:-1]):
        below = holder.get(str(key))
        if not isinstance(below, dict):
            below = {}
            document.marks.setdefault(path[: index + 1], Mark(origin))
        holder[str(key)] = below = dict(below)  # an anchor may share the mapping with another key
        holder = below
    holder[str(path[-1])] = value


def _value(document: Document, path: KeyPath, text: str, origin: Origin, annotation: Any) -> Any:
    """Text stays text; lists, mappings and free-form values are YAML; anything else is a plain scalar."""
    if annotation is None or shape.is_text(annotation):
        return text
    if text.lstrip()[:1] not in ("[", "{"):
        return plain(text.strip())
    value, read = read_value(text, str(origin), origin.kind, base=path)
    for below, mark in read.marks.items():
        secret = mark.text is not None and shape.hidden(below, mark.text)
        document.marks[below] = replace(mark, reference="") if secret and path != ("notify",) else mark
    document.complaints.extend(read.complaints)
    return value
