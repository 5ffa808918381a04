"""What is to be published: files, and what is said of them by a metadata file, a model card or the command line."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from release.errors import UsageError
from release.models.failures import mapped
from release.naming import echoed

Form = Literal["folder", "huggingface", "dvc", "mlflow"]
_VERSION_FILE = "version.json"


_REGISTERED = re.compile(r"(?:models:/)?(?P<name>[^/@]+)(?:/(?P<number>[0-9]+)|(?P<alias>@[^/@]+))")


@dataclass(frozen=True)
class Source:
    """`path` of a folder or file. Of MLflow the `name` that it registered instead, with its number or alias, as a
    person wrote it, and `tracking`, the address of its server or store."""

    form: Form
    path: Path = Path()
    name: str = ""
    tracking: str | None = None


@dataclass(frozen=True)
class Draft:
    """`files` is a folder, or name in the version → file. `metadata` has the fields of a `version.json` but `files`."""

    files: Path | Mapping[str, Path]
    metadata: Mapping[str, Any]


@contextmanager
def reading(
    source: Source, metadata: Path | None, said: Mapping[str, Any], tell: Callable[[str], None]
) -> Iterator[Draft]:
    """What `said` goes before the metadata file, which goes before what the source says of itself.

    A folder may hold the `version.json` of another registry. What is downloaded for it is gone afterwards. Raises
    UsageError for what cannot be read, Refused, ModelsError.
    """
    about = _document(metadata) if metadata is not None else {}
    with tempfile.TemporaryDirectory(prefix="release-import-") as scratch:
        files, found = _source(source, Path(scratch), tell)
        yield Draft(files, {**found, **about, **said})


def _source(
    source: Source, scratch: Path, tell: Callable[[str], None]
) -> tuple[Path | Mapping[str, Path], Mapping[str, Any]]:
    with mapped(tell):
        if source.form == "huggingface":
            from modelhost.registry.exchange.huggingface import read_directory

            draft = read_directory(source.path)
            return draft.files, draft.metadata
        if source.form == "dvc":
            from modelhost.registry.exchange.dvc import read_tracked

            draft = read_tracked(source.path)
            return draft.files, draft.metadata
        if source.form == "mlflow":
            from modelhost.registry.exchange.mlflow import read_registered

            draft = read_registered(demand_tracking(source.tracking), *_registered(source.name), scratch)
            return draft.files, draft.metadata
    return _folder(source.path)


def demand_tracking(uri: str | None) -> str:
    """Where MLflow is. Raises UsageError where nobody said."""
    if not uri:
        raise UsageError("nothing says where MLflow is", hint="--tracking URL, or MLFLOW_TRACKING_URI")
    return uri


def _registered(text: str) -> tuple[str, str]:
    """The name, and the number or `@alias`, of a model that MLflow registered."""
    found = _REGISTERED.fullmatch(text)
    if found is None:
        raise UsageError(
            f"{echoed(text)} names no model of MLflow's registry", hint="NAME/7, NAME@champion, or models:/NAME/7"
        )
    return found["name"], found["number"] or found["alias"]


def _folder(source: Path) -> tuple[Path, Mapping[str, Any]]:
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
