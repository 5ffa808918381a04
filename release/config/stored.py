"""The manifest as the ledger keeps it: JSON, without secret values. `rollback` works from this, without a repository.

What is hidden (the registry's password, notify URLs, environment values that look like secrets) is kept as the text
with `${NAME}` that stood in the file, and filled in again from the environment when it is needed. A password or notify
URL without such a text is not kept; an environment value that is written out in the file is no secret any more, and is.
Everything else is kept as it was filled in at the deployment, so that a rollback starts what ran.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from release.config import shape, variables
from release.config.document import read_value
from release.config.manifest import Manifest
from release.config.origin import KeyPath, Source, dotted
from release.errors import ManifestError

_REFERENCES = "references"  # beside the manifest's own keys; no key of a manifest has this name


def to_ledger(manifest: Manifest) -> dict[str, Any]:
    """JSON-serialisable; no secret value in it."""
    config: dict[str, Any] = manifest.model_dump(mode="json", by_alias=True)
    kept = manifest.references
    config["registry"]["password"] = None
    config["notify"] = []
    for key in kept:
        if (found := _place(config, key.split("."))) is not None:
            holder, last = found
            holder[last] = None if key == "registry.password" else ""
    if kept:
        config[_REFERENCES] = dict(kept)
    return config


def from_ledger(config: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Manifest:
    """The manifest of a deployment. References are filled in from `environ` where its variables are set.

    What is not set stays empty: moving traffic back never waits for a password (`missing_variables` names them).
    Keys that this version does not know are left out. Raises ManifestError where the rest is not usable.
    """
    values = copy.deepcopy(dict(config))
    kept: dict[str, str] = values.pop(_REFERENCES, {})
    for key, text in kept.items():
        _fill(values, key, text, environ or {})
    try:
        manifest = Manifest.model_validate(_known(values, Manifest))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ManifestError(
            f"the configuration kept with the release is not usable: {dotted(first['loc'])}: {first['msg']}",
            hint="deploy the tag again to record it anew",
        ) from None
    manifest.remember(kept)
    return manifest


def missing_variables(config: Mapping[str, Any], environ: Mapping[str, str]) -> list[str]:
    """A line for every hidden value that cannot be filled in now: `registry.password: REGISTRY_PASSWORD is not set`."""
    kept: Mapping[str, str] = config.get(_REFERENCES, {})
    missing = [(key, name) for key, text in kept.items() for name in variables.names(text) if name not in environ]
    lost = [f"{key}: was given by a flag and is not kept" for key, text in kept.items() if not text]
    return [f"{key}: {name} is not set" for key, name in missing] + lost


def _fill(values: dict[str, Any], key: str, text: str, environ: Mapping[str, str]) -> None:
    try:
        filled = variables.expand(text, environ)
    except variables.Missing:
        return
    if key == "notify":  # the whole list came from one variable
        values["notify"] = read_value(filled, key, Source.ENVIRONMENT)[0] or []
    elif key.startswith("notify."):
        values["notify"] = [*values.get("notify", ()), *([filled] if filled else [])]
    elif filled and (found := _place(values, key.split("."))) is not None:
        holder, last = found
        holder[last] = filled


def _place(holder: Any, parts: list[str]) -> tuple[Any, str | int] | None:
    """The mapping or list that holds a dotted key, and the key in it. Names may hold dots themselves."""
    for size in range(len(parts), 0, -1):
        name: str | int = ".".join(parts[:size])
        if isinstance(holder, list):
            name = int(name) if str(name).isdecimal() else -1
            there = 0 <= name < len(holder)
        else:
            there = isinstance(holder, dict) and name in holder
        if there and size == len(parts):
            return holder, name
        if there and (found := _place(holder[name], parts[size:])) is not None:
            return found
    return None


def _known(value: Any, annotation: Any, path: KeyPath = ()) -> Any:
    section = shape.section(annotation)
    if section is None or not isinstance(value, dict):
        return value
    fields = shape.fields(section)
    return {key: _known(item, fields[key].annotation, (*path, key)) for key, item in value.items() if key in fields}
