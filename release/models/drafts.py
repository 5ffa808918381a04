"""What is to be published: files, and what is said of them by a metadata file, a model card or the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from release.errors import UsageError
from release.models.failures import mapped

Form = Literal["folder", "huggingface", "dvc"]
_VERSION_FILE = "version.json"


@dataclass(frozen=True)
class Draft:
    """`files` is a folder, or name in the version → file. `metadata` has the fields of a `version.json` but `files`."""

    files: Path | Mapping[str, Path]
    metadata: Mapping[str, Any]


def read(
    source: Path, form: Form, metadata: Path | None, said: Mapping[str, Any], tell: Callable[[str], None]
) -> Draft:
    """What `said` goes before the metadata file, which goes before what the source says of itself.

    A folder may hold the `version.json` of another registry. Raises UsageError for what cannot be read, Refused.
    """
    files, found = _source(source, form, tell)
    return Draft(files, {**found, **(_document(metadata) if metadata is not None else {}), **said})


def _source(
    source: Path, form: Form, tell: Callable[[str], None]
) -> tuple[Path | Mapping[str, Path], Mapping[str, Any]]:
    with mapped(tell):
        if form == "huggingface":
            from modelhost.registry.exchange.huggingface import read_directory

            draft = read_directory(source)
            return draft.files, draft.metadata
        if form == "dvc":
            from modelhost.registry.exchange.dvc import read_tracked

            draft = read_tracked(source)
            return draft.files, draft.metadata
    described = source / _VERSION_FILE
    said = _document(described) if described.is_file() else {}
    return source, {name: value for name, value in said.items() if name != "files"}


def _document(path: Path) -> dict[str, Any]:
    """A mapping from JSON or YAML. Raises UsageError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UsageError(f"{path} cannot be read ({why})", hint="name a YAML or JSON file") from error
    try:
        found = json.loads(text) if path.suffix == ".json" else _yaml(text)
    except ValueError as error:
        raise UsageError(
            f"{path} cannot be read: {error}", hint="write a mapping, such as `note: what changed`"
        ) from None
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise UsageError(f"{path} holds no mapping", hint="write one field a line, such as `note: what changed`")
    return found


def _yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
