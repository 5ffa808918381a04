"""One call of `infer`: what was sent, read and checked; the model asked; the answer in the form that was wanted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from modelhost.errors import InvalidRequest, Refused
from modelhost.host.request import Request as Models
from modelhost.http.answers import TooLarge
from modelhost.http.tensors import Arrays, Part, array, demand_fit, sent
from modelhost.metadata import DATATYPES, Interface, Tensor

HEADER_LENGTH = "Inference-Header-Content-Length"
_MOST_DIGITS = 18
_MOST_TENSORS = 256
Infer = Callable[[Models, Arrays], Mapping[str, Any]]
"""The request with its set of versions, and input name → array, to output name → array or nested list."""


class _Loose(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class InputPart(_Loose):
    """An input as JSON; without `data` it lies behind the JSON, `binary_data_size` bytes of it."""

    name: str
    datatype: Annotated[str, Field(pattern=f"^({'|'.join(DATATYPES)})$")]
    shape: list[Annotated[int, Field(ge=0)]] = Field(max_length=32)
    parameters: dict[str, Any] = {}
    data: Any = None


class OutputPart(_Loose):
    """An output that is wanted."""

    name: str
    parameters: dict[str, Any] = {}


class Call(_Loose):
    """The JSON of an inference request."""

    id: str = Field(default="", max_length=200)
    parameters: dict[str, Any] = {}
    inputs: list[InputPart] = Field(max_length=_MOST_TENSORS)
    outputs: list[OutputPart] = Field(default=[], max_length=_MOST_TENSORS)


@dataclass(frozen=True, slots=True)
class Asked:
    """A call with its inputs, not yet checked against a version's interface."""

    call: Call
    parts: Sequence[Part]


def read(content: bytes, header_length: str | None, most_json: int) -> Asked:
    """Reads a body; `header_length`: the bytes of its JSON, where raw tensors follow. Raises InvalidRequest, TooLarge
    for more JSON than `most_json` bytes: read, it takes forty times the memory."""
    length = len(content)
    if header_length is not None:
        digits = header_length.isascii() and header_length.isdigit() and len(header_length) <= _MOST_DIGITS
        if not digits or int(header_length) > length:
            raise InvalidRequest(f"{HEADER_LENGTH} is {header_length[:40]!r}", "it is the length of the JSON in bytes")
        length = int(header_length)
    if length > most_json:
        raise TooLarge(f"the JSON is larger than {most_json} bytes", "send large tensors as binary data")
    try:
        call = Call.model_validate_json(content[:length])
    except ValidationError as error:
        found = "; ".join(map(_mistake, error.errors(include_url=False)[:3]))
        raise InvalidRequest(f"the inference request cannot be read: {found}") from None
    return Asked(call, _parts(call, memoryview(content)[length:]))


def _mistake(found: ErrorDetails) -> str:
    where = ".".join(map(str, found["loc"])) or "the body"
    if found["type"] == "string_pattern_mismatch":
        return f"{where} is {found['input']!r:.40}, which is no datatype; there are {', '.join(DATATYPES)}"
    return f"{where}: {found['msg']}"


def _parts(call: Call, raw: memoryview) -> list[Part]:
    parts, at = [], 0
    for each in call.inputs:
        size = each.parameters.get("binary_data_size")
        if size is None:
            parts.append(Part(each.name, each.datatype, tuple(each.shape), data=each.data))
            continue
        if not isinstance(size, int) or isinstance(size, bool) or size < 0 or at + size > len(raw):
            raise InvalidRequest(
                f"input {each.name} says that it has {size!r:.40} raw bytes", f"{len(raw) - at} are left"
            )
        parts.append(Part(each.name, each.datatype, tuple(each.shape), raw=raw[at : at + size]))
        at += size
    if at != len(raw):
        raise InvalidRequest(f"{len(raw) - at} bytes belong to no input", "give each input its binary_data_size")
    return parts


def answer(asked: Asked, models: Models, name: str, infer: Infer | None, recorded: bool = False) -> Response:
    """Asks the version that this request keeps, in a thread. Raises InvalidRequest, and what a model raises.

    `recorded`: the record of requests is kept, so the input is told, before the service may tell another.
    """
    loaded = models[name]
    interface = loaded.entry.info.interface
    demand_fit(asked.parts, interface.inputs, f"{name} {loaded.version}")
    wanted = _wanted(asked.call, interface)
    inputs = {part.name: array(part) for part in asked.parts}
    if recorded:
        models.input = spoken(asked.parts, inputs)
    outputs = infer(models, inputs) if infer else _own(loaded.model, name)(inputs)
    answered = sent(outputs, interface.outputs, wanted, f"{name} {loaded.version}")
    document: dict[str, Any] = {"model_name": name, "model_version": loaded.version, "outputs": answered.outputs}
    if asked.call.id:
        document["id"] = asked.call.id
    content = json.dumps(document, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass")
    if not answered.raw:
        return Response(content, media_type="application/json")
    headers = {HEADER_LENGTH: str(len(content))}
    return Response(b"".join([content, *answered.raw]), media_type="application/octet-stream", headers=headers)


def text_length(asked: Asked) -> int | None:
    """Characters of all texts together, which a rule may ask for; None where there is none. Raises InvalidRequest."""
    texts = [array(part).ravel() for part in asked.parts if part.datatype == "BYTES"]
    if not texts:
        return None
    return sum(len(value.decode("utf-8", "replace")) for values in texts for value in values)


def spoken(parts: Sequence[Part], inputs: Arrays) -> str:
    """The inputs for the record of requests: a text as it is, line by line; numbers by their shape and digest."""
    lines: list[str] = []
    for part in parts:
        values = inputs[part.name]
        if part.datatype == "BYTES":
            lines += [value.decode("utf-8", "replace") for value in values.ravel()]
        else:
            digest = hashlib.sha256(values.tobytes()).hexdigest()
            lines.append(f"{part.name} {part.datatype} {list(part.shape)} {digest}")
    return "\n".join(lines)


def _own(model: Any, name: str) -> Callable[[Arrays], Mapping[str, Any]]:
    infer: Callable[[Arrays], Mapping[str, Any]] | None = getattr(model, "infer", None)
    if infer is None:
        raise Refused(f"{name} is not asked by tensors", "the service has an API of its own for it")
    return infer


def _wanted(call: Call, interface: Interface) -> dict[str, bool]:
    """Output → whether as raw bytes, in the order asked for; all of them where none is named."""
    declared: Mapping[str, Tensor] = {tensor.name: tensor for tensor in interface.outputs}
    every = call.parameters.get("binary_data_output") is True
    if not call.outputs:
        return dict.fromkeys(declared, every)
    unknown = [each.name for each in call.outputs if each.name not in declared]
    if unknown:
        raise InvalidRequest(f"there is no output {unknown[0]!r:.60}", f"there is {', '.join(declared)}")
    return {each.name: each.parameters.get("binary_data", every) is True for each in call.outputs}
