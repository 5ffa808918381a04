"""Versions in a real registry on disk, with weights of a tiny torch module."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from modelhost.registry.base import Entry, Status
from modelhost.registry.directory import DirectoryRegistry
from modelhost.registry.publish import publish


def metadata(component: str, version: str, **changes: Any) -> dict[str, Any]:
    text = {"name": "x", "datatype": "FP32", "shape": [-1, 4]}
    return {
        "component": component,
        "version": version,
        "loader": "safetensors",
        "note": "for a test",
        "metrics": {"bleu": 30.0},
        "training_data": ["corpus"],
        "environment": {"python": f"{sys.version_info.major}.{sys.version_info.minor}", "packages": {}},
        "preprocessing": "none",
        "postprocessing": "none",
        "interface": {"inputs": [text], "outputs": [text], "shape": "tiny/1"},
        **changes,
    }


def tiny(value: float) -> dict[str, Any]:
    """Weights of a linear layer of four inputs that answers `value` times the sum of its inputs."""
    import torch

    return {"layer.weight": torch.full((4, 4), value), "layer.bias": torch.zeros(4)}


def put(
    root: Path, source: Path, version: str, tensors: dict[str, Any], component: str = "model", **changes: Any
) -> Entry:
    """Publishes the tensors as a stable version."""
    from safetensors.torch import save_file

    source.mkdir(parents=True, exist_ok=True)
    save_file(tensors, source / "weights.safetensors")
    publish(root, source, metadata(component, version, **changes), who="ann")
    registry = DirectoryRegistry(root)
    registry.mark(component, version, Status.STABLE, "ann", "tested")
    return registry.find(component, version)


def damage(entry: Entry, how: str) -> None:
    """What must never happen to a published file, and does: cut, changed, missing."""
    path = entry.path / "weights.safetensors"
    content, known = path.read_bytes(), path.stat()
    path.parent.chmod(0o755)
    path.chmod(0o644)
    if how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "changed":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        path.unlink()
        return
    while path.stat().st_ctime_ns == known.st_ctime_ns:  # the clock of a file system ticks every few milliseconds
        path.chmod(0o644)
