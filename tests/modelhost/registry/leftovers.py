"""What a killed publisher left on an object store, and a collector that comes days later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelhost.registry.clearing import gc_remote
from modelhost.registry.collect import Collected
from modelhost.registry.remote import RemoteRegistry
from modelhost.registry.upload import publish_remote
from tests.modelhost.registry.material import metadata, weights
from tests.modelhost.registry.places import Place

LEFT = "model/1.1.0/"


def broken_off(store: Place, tmp_path: Path, source: Path) -> RemoteRegistry:
    """1.0.0 was published, and of 1.1.0 all files without its `version.json`."""
    registry = store.registry(tmp_path / "publisher")
    publish_remote(registry, weights(tmp_path / "first", "first"), metadata(), who="anna")
    bucket = registry.origin.bucket  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as killed:
        killed.setattr(bucket, "create", gone)
        killed.setattr(bucket, "remove", gone)
        with pytest.raises(KeyboardInterrupt):
            publish_remote(registry, source, metadata(version="1.1.0"), who="anna")
    assert len(below(store, f"{LEFT}content/")) == 3
    return registry


def gone(*_: object) -> None:
    raise KeyboardInterrupt


def below(store: Place, folder: str) -> list[str]:
    return [key for key in store.names() if key.startswith(folder)]


def collected(store: Place, folder: Path, days: float = 2, **given: object) -> Collected:
    """As a collector finds it after so many days."""
    registry = store.registry(folder, clock=lambda: datetime.now(UTC) + timedelta(days=days))
    return gc_remote(registry, **given)  # type: ignore[arg-type]
