"""Versions to switch between, in a registry in a folder: a telling pair of components, or a large model."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from modelhost.metadata import VersionInfo
from modelhost.registry.base import Status
from modelhost.registry.directory import DirectoryRegistry
from modelhost.registry.publish import publish

VERSIONS = ("1.0.0", "1.1.0", "1.2.0")
PAIR = ("encoder", "decoder")
LARGE = "model"
WEIGHTS = "weights.safetensors"
REGISTRY = "models"
WIDTH = 1024  # of the large model
BLOCK_BYTES = (12 * WIDTH * WIDTH + 9 * WIDTH) * 4
_TENSOR = {"name": "x", "datatype": "FP32", "shape": [-1]}


def value_of(version: str) -> float:
    """What every weight of a telling version holds, times the width: 1 for 1.0.0, 2 for 1.1.0."""
    return 1.0 + int(version.split(".")[1])


def publish_pairs(folder: Path, depth: int, width: int) -> None:
    """Encoder and decoder in each version; a decoder works with the encoder of its own number alone.

    `width` is a power of two, so that sums of a row are exact.
    """
    import numpy

    for version in VERSIONS:
        weight = numpy.full((width, width), value_of(version) / width, numpy.float32)
        mates: dict[str, str] = {}
        for component in PAIR:
            tensors = {f"layers.{number}.weight": weight for number in range(depth)}
            info = _publish(folder, component, version, tensors, {"depth": depth, "width": width}, mates)
            mates = {component: info.digest}


def publish_large(folder: Path, megabytes: int, versions: Sequence[str] = VERSIONS) -> int:
    """Random weights in the shapes of a transformer's matrices, in each version; returns the bytes of one version."""
    import numpy

    blocks = max(1, round(megabytes * 1e6 / BLOCK_BYTES))
    info = None
    for seed, version in enumerate(versions):
        chance = numpy.random.default_rng(seed)
        tensors: dict[str, Any] = {}
        for number, (wide, narrow) in enumerate(shapes(blocks)):
            tensors[f"layers.{number}.weight"] = (chance.random((wide, narrow), numpy.float32) - 0.5) / WIDTH
            tensors[f"layers.{number}.bias"] = chance.random(wide, numpy.float32)
        info = _publish(folder, LARGE, version, tensors, {"blocks": blocks}, {})
    assert info is not None
    return info.bytes


def shapes(blocks: int) -> list[tuple[int, int]]:
    """Outputs and inputs of each matrix: four of attention, two of the network behind it, for each block."""
    return ([(WIDTH, WIDTH)] * 4 + [(4 * WIDTH, WIDTH), (WIDTH, 4 * WIDTH)]) * blocks


def weights(folder: Path, component: str, version: str) -> Path:
    """Where the weights of a published version lie."""
    return folder / REGISTRY / component / version / WEIGHTS


def _publish(
    folder: Path,
    component: str,
    version: str,
    tensors: Mapping[str, Any],
    settings: Mapping[str, Any],
    mates: Mapping[str, str],
) -> VersionInfo:
    from safetensors.numpy import save_file

    source = folder / "source"
    source.mkdir(parents=True)
    try:
        save_file(dict(tensors), source / WEIGHTS)
        about = {
            "component": component,
            "version": version,
            "loader": "safetensors",
            "note": "for a benchmark",
            "metrics": {},
            "training_data": [],
            "environment": {"python": platform.python_version(), "packages": {"numpy": version_of("numpy")}},
            "preprocessing": "none",
            "postprocessing": "none",
            "interface": {"inputs": [_TENSOR], "outputs": [_TENSOR], "shape": "benchmark/1"},
            "mates": dict(mates),
            "settings": dict(settings),
        }
        publish(folder / REGISTRY, source, about, who="benchmark")
    finally:
        shutil.rmtree(source)
    registry = DirectoryRegistry(folder / REGISTRY)
    registry.mark(component, version, Status.STABLE, "benchmark", "to be switched to")
    return registry.find(component, version).info
