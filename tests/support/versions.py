"""Versions of models to publish: small files, complete metadata."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelhost.registry.base import Entry, Status
from modelhost.registry.directory import DirectoryRegistry
from modelhost.registry.publish import publish

Publish = Callable[..., Entry]


def metadata(component: str = "translator", version: str = "1.0.0", **fields: Any) -> dict[str, Any]:
    """All that a `version.json` has to say, with `fields` instead of its own."""
    said = {
        "component": component,
        "version": version,
        "loader": "safetensors",
        "note": f"{component} {version}",
        "metrics": {"bleu": 17.8},
        "training_data": ["news-2024"],
        "environment": {"python": "3.11.7", "packages": {}},
        "preprocessing": "sentencepiece/1",
        "postprocessing": "detokenize/1",
        "interface": {
            "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
            "outputs": [{"name": "translation", "datatype": "BYTES", "shape": [-1]}],
            "shape": "translation/1",
        },
    }
    return said | fields


def weights(folder: Path, content: str) -> Path:
    """A folder with two files, one of them further down."""
    (folder / "vocab").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(content.encode() * 100)
    (folder / "vocab" / "source.spm").write_bytes(b"pieces " * 10)
    return folder


def publishing(root: Path, sources: Path) -> Publish:
    """`publish("1.0.0", status="stable")` in the registry at `root`."""

    def make(version: str, component: str = "translator", status: str = "unstable", **fields: Any) -> Entry:
        folder = weights(sources / f"{component}-{version}", f"weights of {component} {version}")
        entry = publish(root, folder, metadata(component, version, **fields), who="anna").entry
        if status != "unstable":
            DirectoryRegistry(root).mark(component, version, Status(status), "anna", f"{status} for a test")
        return entry

    return make


def damaged(folder: Path, name: str = "model.safetensors") -> None:
    """One byte of a published file is another one now."""
    path = folder / name
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[5] ^= 1
    path.write_bytes(content)
