"""Tensors of the Open Inference Protocol, as JSON and as raw bytes behind it, to arrays and back. Row-major.

BYTES in raw form: each element a little-endian uint32 of its length, then its bytes. BF16 becomes float32 here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

from modelhost.errors import InvalidRequest, ModelHostError
from modelhost.metadata import Tensor

if TYPE_CHECKING:
    import numpy

Arrays = dict[str, "numpy.ndarray[Any, Any]"]

NUMPY = {"BOOL": "bool", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}
NUMPY |= {f"INT{8 * n}": f"<i{n}" for n in (1, 2, 4, 8)} | {f"UINT{8 * n}": f"<u{n}" for n in (1, 2, 4, 8)}
_LENGTH = struct.Struct("<I")
_MOST_DIMENSIONS = 32


@dataclass(frozen=True, slots=True)
class Part:
    """An input as it came: `data` from the JSON, or `raw` bytes."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Any = None
    raw: memoryview | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """An answer: JSON, and behind it the raw tensors in their order."""

    outputs: list[dict[str, Any]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)


def array(part: Part) -> numpy.ndarray[Any, Any]:
    """The array of an input. Raises InvalidRequest that names the input."""
    count = prod(part.shape)
    values = _from_json(part, count) if part.raw is None else _from_raw(part, part.raw, count)
    if values.size != count:
        raise InvalidRequest(
            f"input {part.name} has {values.size} elements", f"its shape {list(part.shape)} says {count}"
        )
    return values.reshape(part.shape)


def demand_fit(parts: Sequence[Part], declared: Sequence[Tensor], component: str) -> None:
    """Raises InvalidRequest where names, datatypes or shapes are not those that the version declares."""
    wanted = {tensor.name: tensor for tensor in declared}
    given = [part.name for part in parts]
    if len(set(given)) < len(given) or set(given) != wanted.keys():
        raise InvalidRequest(
            f"{component} was given the inputs {', '.join(given) or 'none'}", f"it takes {', '.join(wanted)}, each once"
        )
    for part in parts:
        tensor = wanted[part.name]
        if part.datatype != tensor.datatype:
            raise InvalidRequest(f"input {part.name} is {part.datatype}", f"it must be {tensor.datatype}")
        fits = len(part.shape) == len(tensor.shape) and all(
            want in (-1, has) for has, want in zip(part.shape, tensor.shape, strict=True)
        )
        if not fits or len(part.shape) > _MOST_DIMENSIONS or any(size < 0 for size in part.shape):
            raise InvalidRequest(
                f"input {part.name} has the shape {list(part.shape)}", f"it must fit {list(tensor.shape)}, -1 for any"
            )


def sent(outputs: Mapping[str, Any], declared: Sequence[Tensor], raw: Mapping[str, bool], component: str) -> Sent:
    """The outputs that `raw` names (name → whether as raw bytes), in its order. Raises ModelHostError for what a model
    gives that cannot be sent."""
    import numpy

    kinds = {tensor.name: tensor.datatype for tensor in declared}
    answer = Sent()
    for name, as_bytes in raw.items():
        if name not in outputs:
            raise ModelHostError(f"{component} gave no output {name}", f"it gave {', '.join(outputs) or 'none'}")
        values = numpy.asarray(outputs[name])
        described: dict[str, Any] = {"name": name, "datatype": kinds[name], "shape": list(values.shape)}
        if as_bytes:
            content = _to_raw(values, kinds[name], name)
            described["parameters"] = {"binary_data_size": len(content)}
            answer.raw.append(content)
        else:
            described["data"] = _to_json(values, kinds[name], name)
        answer.outputs.append(described)
    return answer


# -- in ------------------------------------------------------------------------------------------------------------


def _from_raw(part: Part, raw: memoryview, count: int) -> numpy.ndarray[Any, Any]:
    import numpy

    if part.datatype == "BYTES":
        elements = list(_elements(part.name, raw, count))  # before any memory is taken for a shape somebody made up
        values = numpy.empty(count, dtype=object)
        values[:] = elements
        return values
    if part.datatype == "BF16":
        _demand_bytes(part, raw, 2 * count)
        return (numpy.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
    kind = numpy.dtype(NUMPY[part.datatype])
    _demand_bytes(part, raw, kind.itemsize * count)
    return numpy.frombuffer(raw, kind)


def _demand_bytes(part: Part, raw: memoryview, wanted: int) -> None:
    if len(raw) != wanted:
        raise InvalidRequest(
            f"input {part.name} has {len(raw)} bytes", f"{part.datatype} {list(part.shape)} has {wanted}"
        )


def _elements(name: str, raw: memoryview, count: int) -> Iterator[bytes]:
    at = 0
    for _ in range(count):
        if at + _LENGTH.size > len(raw):
            raise InvalidRequest(f"input {name} ends before its {count} elements do")
        (length,) = _LENGTH.unpack_from(raw, at)
        at += _LENGTH.size
        if at + length > len(raw):
            raise InvalidRequest(f"input {name} ends inside an element")
        yield bytes(raw[at : at + length])
        at += length
    if at != len(raw):
        raise InvalidRequest(f"input {name} goes on after its {count} elements")


def _from_json(part: Part, count: int) -> numpy.ndarray[Any, Any]:
    import numpy

    if part.datatype == "BF16":
        raise InvalidRequest(f"input {part.name}: BF16 has no form in JSON", "send it as binary data")
    flat = list(_flat(part.data, part.name))
    if len(flat) != count:  # before any memory is taken for a shape that somebody made up
        raise InvalidRequest(
            f"input {part.name} has {len(flat)} elements", f"its shape {list(part.shape)} says {count}"
        )
    for value in flat:
        if not _is_a(part.datatype, value):
            raise InvalidRequest(f"input {part.name} holds {value!r:.60}", f"every element must be {part.datatype}")
    if part.datatype == "BYTES":
        values = numpy.empty(len(flat), dtype=object)
        values[:] = [value.encode("utf-8", "surrogatepass") for value in flat]
        return values
    try:
        with numpy.errstate(over="ignore"):
            numbers = numpy.array(flat, dtype=numpy.dtype(NUMPY[part.datatype]))
    except OverflowError as error:
        raise InvalidRequest(f"input {part.name} holds a number that {part.datatype} cannot") from error
    if numbers.dtype.kind == "f" and not numpy.isfinite(numbers).all():
        raise InvalidRequest(
            f"input {part.name} holds a number that {part.datatype} cannot", "NaN and infinity are sent as binary data"
        )
    return numbers


def _flat(data: Any, name: str, depth: int = 0) -> Iterator[Any]:
    if not isinstance(data, list):
        raise InvalidRequest(f"input {name} has no data", "send a list, or binary data with its size")
    if depth > _MOST_DIMENSIONS:
        raise InvalidRequest(f"input {name} is nested too deeply")
    for each in data:
        if isinstance(each, list):
            yield from _flat(each, name, depth + 1)
        else:
            yield each


def _is_a(datatype: str, value: Any) -> bool:
    if datatype == "BYTES":
        return isinstance(value, str)
    if datatype == "BOOL":
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (datatype.startswith("FP") and isinstance(value, float))


# -- out -----------------------------------------------------------------------------------------------------------


def _to_raw(values: numpy.ndarray[Any, Any], datatype: str, name: str) -> bytes:
    import numpy

    if datatype == "BYTES":
        elements = [_bytes(value, name) for value in values.ravel()]
        return b"".join(_LENGTH.pack(len(element)) + element for element in elements)
    if datatype == "BF16":
        return (values.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return numpy.ascontiguousarray(values, dtype=numpy.dtype(NUMPY[datatype])).tobytes()


def _to_json(values: numpy.ndarray[Any, Any], datatype: str, name: str) -> list[Any]:
    import numpy

    if datatype == "BYTES":
        try:
            return [_bytes(value, name).decode("utf-8") for value in values.ravel()]
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"output {name} is no text", "ask for it as binary data") from error
    if datatype == "BF16":
        raise InvalidRequest(f"output {name}: BF16 has no form in JSON", "ask for it as binary data")
    numbers = values.astype(numpy.dtype(NUMPY[datatype])).ravel()
    if numbers.dtype.kind == "f" and not numpy.isfinite(numbers).all():
        raise InvalidRequest(f"output {name} holds what JSON cannot (NaN, infinity)", "ask for it as binary data")
    listed: list[Any] = numbers.tolist()
    return listed


def _bytes(value: Any, name: str) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, bytes):
        return value
    raise ModelHostError(f"output {name} holds a {type(value).__name__}", "BYTES are texts or bytes")
