"""From `release.yaml`, the environment and flags to one valid Manifest, with the origin of every value.

The way: read YAML with its places → fill in `${NAME}` → apply overrides → bring text fields to text → validate → cross-
check. Mistakes are gathered on the way and told all at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ValidationError

from release.config import override, regular, shape, wording
from release.config.complaint import Complaint, manifest_error
from release.config.crosscheck import crosscheck
from release.config.document import Document, Mark, plain, read, references
from release.config.manifest import Manifest
from release.config.origin import KeyPath, Origin, Source, dotted
from release.config.variables import Missing, expand, has_reference
from release.errors import ManifestError

FILE_NAME = "release.yaml"
_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Loaded:
    """A manifest, the origin of each of its leaf keys (dotted), the file it came from and that file's folder."""

    manifest: Manifest
    provenance: Mapping[str, Origin]
    path: Path
    root: Path = field(default_factory=Path)


def find(start: Path) -> Path:
    """The nearest `release.yaml` in `start` or above it. Raises ManifestError where there is none."""
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    other = start / "release.yml"
    raise ManifestError(
        f"no {FILE_NAME} in {start} or any folder above it",
        hint=f"rename {other.name} to {FILE_NAME}" if other.is_file() else "`release init` writes one",
    )


def load(
    path: Path | None, *, start: Path, overrides: Mapping[str, str] | None = None, environ: Mapping[str, str]
) -> Loaded:
    """Loads `path`, or the nearest `release.yaml` upward from `start`. Raises ManifestError with every mistake."""
    found = path if path is not None else find(start)
    try:
        content = regular.read(found, _MOST_BYTES + 1)
    except OSError as error:
        raise ManifestError(
            f"cannot read {found}: {error.strerror}", hint="`release init` writes a release.yaml"
        ) from error
    if len(content) > _MOST_BYTES:
        raise ManifestError(f"{found.name} is larger than 1 MB", hint="is it the right file?")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{found.name} is not UTF-8 text (byte {error.start})", hint="save it as UTF-8") from error
    manifest, provenance = parse(text, found.name, overrides=overrides, environ=environ)
    return Loaded(manifest, provenance, found, found.resolve().parent)


def parse(
    text: str, name: str, *, overrides: Mapping[str, str] | None = None, environ: Mapping[str, str]
) -> tuple[Manifest, Mapping[str, Origin]]:
    """As `load`, from text; `name` is what messages call it."""
    document = read(text, name)
    for key in [key for key in document.value if key.startswith("x-")]:  # a place for anchors, as in Compose files
        del document.value[key]
    document.value = _filled(document, environ)
    override.from_environment(document, environ)
    override.from_flags(document, overrides or {})
    document.value = _fitted(document, (), document.value, Manifest)
    manifest = _validated(document, name)
    problems = [Complaint(found.path, found.text, document.origin(found.path)) for found in crosscheck(manifest)]
    if problems:
        raise manifest_error(problems, name)
    kept = {dotted(path): text for path, text in references(document.marks).items() if _is_secret(path, manifest)}
    manifest.remember(kept)
    return manifest, MappingProxyType(_provenance(manifest, document))


def _is_secret(path: KeyPath, manifest: Manifest) -> bool:
    value: Any = manifest.model_dump(by_alias=True)
    for key in path:
        value = value[key]
    return shape.hidden(path, value)


def _filled(document: Document, environ: Mapping[str, str]) -> dict[str, Any]:
    """The document with every `${NAME}` filled in. A list's entry or an optional text that comes out empty is none."""
    marks: dict[KeyPath, Mark] = {}

    def walk(value: Any, old: KeyPath, new: KeyPath) -> Any:
        mark = document.marks[old]
        if isinstance(value, dict):
            marks[new] = mark
            return {key: walk(item, (*old, key), (*new, key)) for key, item in value.items()}
        if isinstance(value, list):
            marks[new] = mark
            kept: list[Any] = []
            for index, item in enumerate(value):
                filled = walk(item, (*old, index), (*new, len(kept)))
                if filled in (None, "") and filled != item:
                    del marks[(*new, len(kept))]
                else:
                    kept.append(filled)
            return kept
        if isinstance(value, str) and has_reference(value):
            value, mark = fill(value, mark, old)
        marks[new] = mark
        return value

    def fill(text: str, mark: Mark, path: KeyPath) -> tuple[Any, Mark]:
        try:
            filled = expand(text, environ)
        except Missing as missing:
            document.complaints.append(Complaint(path, _missing(missing, text), mark.origin))
            return text, mark
        filled_mark = Mark(mark.origin, filled, mark.plain, reference=text)
        return (plain(filled) if mark.plain else filled), filled_mark

    value = {key: walk(item, (key,), (key,)) for key, item in document.value.items()}
    document.marks = marks
    return value


def _missing(missing: Missing, text: str) -> str:
    if missing.name is None:
        return f"holds a `${{` that is no variable ({text!r}); write ${{NAME}}, ${{NAME:-default}}, or $${{ for itself"
    return f"needs the environment variable {missing.name}, which is not set; set it, or write ${{{missing.name}:-}}"


def _fitted(document: Document, path: KeyPath, value: Any, annotation: Any) -> Any:
    """Numbers in text fields as they were written, an empty section as its defaults; booleans in text are refused."""
    if annotation is None:
        return value
    section = shape.section(annotation)
    if value is None and section is not None and not shape.optional(annotation):
        return {}
    if isinstance(value, dict):
        return {key: _fitted(document, (*path, key), item, shape.step(annotation, key)) for key, item in value.items()}
    if isinstance(value, list):
        inner = shape.step(annotation, 0)
        return [_fitted(document, (*path, index), item, inner) for index, item in enumerate(value)]
    if not shape.is_text(annotation):
        return value
    if value == "" and shape.optional(annotation) and document.filled(path):
        return None
    return value if isinstance(value, str) else _text(document, path, value, annotation)


def _text(document: Document, path: KeyPath, value: Any, annotation: Any) -> Any:
    mark = document.marks.get(path)
    written = mark.text if mark is not None else None
    if written is None:
        return value
    if isinstance(value, bool) and mark is not None and mark.reference is None:
        problem = f"is the boolean {written}, and text is expected; quote it: {path[-1]}: '{written}'"
        document.complaints.append(Complaint(path, problem, document.origin(path)))
        return written
    if value is None:
        if shape.optional(annotation):
            return None
        if not written and mark is not None and mark.reference is not None:
            return ""
        problem = "has no value; write '' for an empty text, or remove the line"
        document.complaints.append(Complaint(path, problem, document.origin(path)))
        return written
    return written


def _validated(document: Document, name: str) -> Manifest:
    found = list(document.complaints)
    known = {complaint.path for complaint in found}
    try:
        manifest = Manifest.model_validate(document.value)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            problem = wording.complaint(detail, document)
            if problem.path not in known:
                found.append(problem)
    if found:
        raise manifest_error(found, name)
    return manifest


def _provenance(manifest: Manifest, document: Document) -> dict[str, Origin]:
    """The origin of every leaf: its own place, else that of the override or mapping that held it, else the default."""
    origins: dict[str, Origin] = {}

    def walk(path: KeyPath, value: Any) -> None:
        if isinstance(value, BaseModel):
            for key, info_name in ((info.alias or name, name) for name, info in type(value).model_fields.items()):
                walk((*path, key), getattr(value, info_name))
        elif isinstance(value, dict) and value:
            for key, item in value.items():
                walk((*path, key), item)
        else:
            origins[dotted(path)] = given(path)

    def given(path: KeyPath) -> Origin:
        mark = document.marks.get(path)
        return mark.origin if mark is not None else Origin(Source.DEFAULT)

    walk((), manifest)
    return origins
