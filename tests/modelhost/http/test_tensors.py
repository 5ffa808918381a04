"""Arrays survive the way out and in again, in raw form and as JSON, for every datatype."""

from __future__ import annotations

import json
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from modelhost.errors import InvalidRequest, ModelHostError
from modelhost.http.tensors import NUMPY, Part, array, sent
from modelhost.metadata import Tensor


def _there_and_back(values: Any, datatype: str, as_bytes: bool) -> Any:
    declared = [Tensor(name="x", datatype=datatype, shape=tuple(-1 for _ in values.shape))]
    answer = sent({"x": values}, declared, {"x": as_bytes}, "model 1.0.0")
    (described,) = json.loads(json.dumps(answer.outputs))
    raw = memoryview(answer.raw[0]) if as_bytes else None
    part = Part("x", described["datatype"], tuple(described["shape"]), data=described.get("data"), raw=raw)
    return array(part)


@pytest.mark.parametrize("as_bytes", [True, False])
@pytest.mark.parametrize("datatype", sorted(NUMPY))
def test_numbers(datatype: str, as_bytes: bool) -> None:
    @settings(max_examples=30, deadline=None)
    @given(
        arrays.arrays(
            numpy.dtype(NUMPY[datatype]),
            arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4),
            elements={} if datatype == "BOOL" or "INT" in datatype else {"allow_nan": False, "allow_infinity": False},
        )
    )
    def holds(values: Any) -> None:
        back = _there_and_back(values, datatype, as_bytes)
        assert back.dtype == values.dtype
        assert numpy.array_equal(back, values)

    holds()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=20), max_size=6))
def test_raw_bytes(elements: list[bytes]) -> None:
    values = numpy.empty(len(elements), dtype=object)
    values[:] = elements
    assert list(_there_and_back(values, "BYTES", True)) == elements


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=20), max_size=6))
def test_texts_as_json(elements: list[str]) -> None:
    values = numpy.empty(len(elements), dtype=object)
    values[:] = elements
    assert [each.decode() for each in _there_and_back(values, "BYTES", False)] == elements


def test_bf16_keeps_its_upper_half() -> None:
    values = numpy.array([1.0, -2.5, 0.0], dtype="<f4")
    assert _there_and_back(values, "BF16", True).tolist() == [1.0, -2.5, 0.0]


@pytest.mark.parametrize(
    "raw", [b"", b"\x01", b"\x05\x00\x00\x00ab", b"\x01\x00\x00\x00ab", b"\xff\xff\xff\xff" + b"a" * 8]
)
def test_raw_bytes_that_are_cut_or_too_long_are_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest, match="input x"):
        array(Part("x", "BYTES", (1,), raw=memoryview(raw)))


@pytest.mark.parametrize(
    ("datatype", "data"),
    [("INT8", [300]), ("UINT8", [-1]), ("INT32", [1.5]), ("INT32", [True]), ("BOOL", [1]), ("FP32", ["1"])],
)
def test_values_of_another_kind_are_refused(datatype: str, data: list[Any]) -> None:
    with pytest.raises(InvalidRequest, match="input x"):
        array(Part("x", datatype, (1,), data=data))


def test_what_a_model_gives_and_json_cannot_say_is_an_error() -> None:
    with pytest.raises(InvalidRequest, match="NaN"):
        _there_and_back(numpy.array([float("nan")], dtype="<f4"), "FP32", False)
    with pytest.raises(ModelHostError, match="gave no output"):
        sent({}, [Tensor(name="x", datatype="FP32", shape=(1,))], {"x": False}, "model 1.0.0")
