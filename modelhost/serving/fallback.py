"""What serves when no version can: installed code that a service declares, and that says in its answers what it is."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelhost.errors import ConfigError
from modelhost.loading.base import Loaded
from modelhost.metadata import Environment, File, Interface, VersionInfo
from modelhost.registry.base import Entry, Status

FALLBACK_VERSION = "0.0.0-fallback"
LOADER = "installed"


def fallback(component: str, model: Any, source: Path, interface: Interface, note: str) -> Loaded:
    """Declares `model` as what serves for a component when no version of it can.

    It stays in memory, is never closed, fits every mate, and belongs to no registry. `source`: the file of code or data
    that it is made of, which gives it a digest; `note`: what it is, for a person. Raises ConfigError where `source`
    cannot be read.
    """
    try:
        content = source.read_bytes()
    except OSError as error:
        raise ConfigError(f"the fallback of {component}: {source} cannot be read", error.strerror or "") from error
    digest = hashlib.sha256(content).hexdigest()
    info = VersionInfo(
        component=component,
        version=FALLBACK_VERSION,
        created=datetime.fromtimestamp(source.stat().st_mtime, UTC),
        loader=LOADER,
        note=note,
        metrics={},
        training_data=(),
        environment=Environment(python="any"),
        preprocessing="its own",
        postprocessing="its own",
        interface=interface,
        files=(File(path=source.name, bytes=len(content), sha256=digest, fast=digest[:32]),),
    )
    return Loaded(Entry(info, source.parent, Status.STABLE), model, 0, fallback=True)
