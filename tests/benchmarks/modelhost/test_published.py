"""The versions that are measured: published for real, fitting the networks, and telling of themselves when mixed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.modelhost.evidence import is_whole, told
from benchmarks.modelhost.published import (
    LARGE,
    PAIR,
    REGISTRY,
    VERSIONS,
    publish_large,
    publish_pairs,
    value_of,
    weights,
)
from modelhost.errors import MateMismatch
from modelhost.loading.base import Placement
from modelhost.registry.directory import DirectoryRegistry
from modelhost.registry.mates import check_mates

torch = pytest.importorskip("torch", reason="the services that are measured compute with torch")
DEPTH, WIDTH = 3, 16


@pytest.fixture
def place(tmp_path: Path) -> Path:
    publish_pairs(tmp_path, DEPTH, WIDTH)
    return tmp_path


def module_of(place: Path, component: str, version: str) -> Any:
    from benchmarks.modelhost.hosted import Loader

    entry = DirectoryRegistry(place / REGISTRY).find(component, version)
    return Loader().load(entry, Placement()).model.module


def told_by(encoder: Any, decoder: Any) -> str:
    from benchmarks.modelhost import network

    with torch.inference_mode():
        return told(network.values(encoder, WIDTH), network.values(decoder, WIDTH), None)


def test_each_version_tells_its_own_number(place: Path) -> None:
    for version in VERSIONS:
        answer = told_by(*(module_of(place, component, version) for component in PAIR))
        assert is_whole(answer)
        assert answer == told({value_of(version)}, {value_of(version)}, None)


def test_an_encoder_with_another_decoder_is_told(place: Path) -> None:
    assert not is_whole(told_by(module_of(place, "encoder", "1.0.0"), module_of(place, "decoder", "1.1.0")))


@pytest.mark.parametrize("rows", [WIDTH, 1], ids=["a layer", "a row of a layer"])
def test_a_part_of_other_weights_is_told_however_small(place: Path, rows: int) -> None:
    encoder, decoder = (module_of(place, component, "1.0.0") for component in PAIR)
    other = module_of(place, "encoder", "1.1.0")
    mixture = encoder.layers[1].weight.clone()
    mixture[:rows] = other.layers[1].weight[:rows]
    encoder.layers[1].weight = torch.nn.Parameter(mixture, requires_grad=False)
    assert not is_whole(told_by(encoder, decoder))


def test_a_pair_of_two_numbers_does_not_fit(place: Path) -> None:
    registry = DirectoryRegistry(place / REGISTRY)
    with pytest.raises(MateMismatch):
        check_mates([registry.find("encoder", "1.0.0").info, registry.find("decoder", "1.1.0").info])


def test_the_large_model_has_the_size_asked_for_and_weights_of_its_own_in_each_version(tmp_path: Path) -> None:
    from benchmarks.modelhost import network

    size = publish_large(tmp_path, 50, VERSIONS[:2])
    assert size == pytest.approx(50e6, rel=0.02)
    one, other = (weights(tmp_path, LARGE, version).read_bytes() for version in VERSIONS[:2])
    assert len(one) == len(other) and one != other
    module = module_of(tmp_path, LARGE, VERSIONS[0])
    assert sum(parameter.nbytes for parameter in module.parameters()) == pytest.approx(size, rel=0.001)
    assert torch.isfinite(network.use(module, {"blocks": 1})).all()
