"""What an import brings: files, checked against the digests of where they come from, and what is said of them there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from modelhost.errors import ConfigError
from modelhost.registry.digests import chunks


@dataclass(frozen=True, slots=True)
class Draft:
    """`files`: name in the version → where it lies, to be handed to `publish`. `metadata`: the fields that could be
    found; whoever publishes adds the others: `publish(root, draft.files, {**draft.metadata, **mine}, who=…)`."""

    files: Mapping[str, Path]
    metadata: Mapping[str, Any] = field(default_factory=dict)


def optional(module: str, package: str) -> Any:
    """An optional package's module. Raises ConfigError that names what to install."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigError(f"{package} is not installed", f"pip install {package}") from error


def hex_digest(path: Path, algorithm: str) -> str:
    """A file's digest by a name that hashlib knows. Raises OSError."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb", buffering=0) as file:
        for chunk in chunks(file):
            digest.update(chunk)
    return digest.hexdigest()
