"""A request in LibreTranslate's shape, read from JSON, a form or the query, and checked. The shape is a public one.

What is wrong is a `Refusal` with status 400, which is LibreTranslate's own for everything that a caller can mend.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from email.message import EmailMessage, Message
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request

from translator.detection import CHINESE_CODE, ENGLISH_CODE
from translator.errors import Refusal
from translator.schema import SURROGATE
from translator.settings import Limits

AUTO = "auto"
CHINESE = {
    "zh",
    "zh-hans",
    "zh-cn",
    "zh-sg",
    "zh-hans-cn",
}  # what callers call it; the models know simplified characters
FORMATS = ("text", "html")
Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """A checked request to translate. `single`: `q` was a string, so the answer is one. `source`: zh, en or auto."""

    texts: list[str]
    single: bool
    source: str
    html: bool
    alternatives: int


def refusal(message: str) -> Refusal:
    """Something that the caller can mend."""
    return Refusal(400, "invalid_request", message)


async def read_fields(request: Request) -> Fields:
    """The parameters of a request: a JSON object, else a form (a `q` given twice is an array), else the query."""
    kind = Message()
    kind["Content-Type"] = request.headers.get("Content-Type", "")
    body = await request.body()
    if kind.get_content_subtype() == "json" or kind.get_content_subtype().endswith("+json"):
        return json_fields(body)
    pairs = list(request.query_params.multi_items())
    try:
        if kind.get_content_type() == "multipart/form-data":
            pairs += multipart(request.headers["Content-Type"], body)
        elif kind.get_content_type() == "application/x-www-form-urlencoded":
            pairs += parse_qsl(body.decode(), keep_blank_values=True, errors="strict")
    except (ValueError, LookupError) as error:
        raise refusal("Invalid request: the form cannot be read") from error
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return {name: values if name == "q" and len(values) > 1 else values[-1] for name, values in fields.items()}


def json_fields(body: bytes) -> Fields:
    """The members of a JSON object."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise refusal("Invalid request: the body is not valid JSON") from error
    if not isinstance(fields, dict):
        raise refusal("Invalid request: the body is not a JSON object")
    return fields


def multipart(content_type: str, body: bytes) -> list[tuple[str, str]]:
    """Name and value of each field of a multipart form; raises ValueError, LookupError where it is none."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1")
    message = BytesParser(EmailMessage, policy=HTTP).parsebytes(head + body)
    fields = []
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            fields.append((name, content.decode()))
    return fields


def checked(fields: Fields, limits: Limits) -> Asked:
    """The request, or a `Refusal` that names the parameter."""
    texts = checked_texts(fields, limits)
    source, target = (language(fields, name) for name in ("source", "target"))
    if target != ENGLISH_CODE:
        wanted = f"{fields['target']} is not supported"
        raise refusal(f"{wanted} as a target: this service translates {CHINESE_CODE} to {ENGLISH_CODE}")
    form = fields.get("format") or "text"
    if form not in FORMATS:
        raise refusal(f"{form} format is not supported")
    return Asked(texts, isinstance(fields["q"], str), source, form == "html", alternatives(fields))


def checked_texts(fields: Fields, limits: Limits) -> list[str]:
    """`q` as a list."""
    q = fields.get("q")
    if not q:
        raise refusal("Invalid request: missing q parameter")
    texts = [q] if isinstance(q, str) else q
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise refusal("Invalid request: q is neither a string nor an array of strings")
    if any(SURROGATE.search(text) for text in texts):
        raise refusal("Invalid request: q has half of a character in it (a lone surrogate)")
    if len(texts) > limits.texts:
        raise refusal(f"Invalid request: request ({len(texts)}) exceeds batch size limit ({limits.texts})")
    longest, total = max(map(len, texts)), sum(map(len, texts))
    if longest > limits.chars or total > limits.total_chars:
        most, found = (limits.chars, longest) if longest > limits.chars else (limits.total_chars, total)
        raise refusal(f"Invalid request: request ({found}) exceeds text limit ({most})")
    return texts


def language(fields: Fields, name: str) -> str:
    """The code of a language that is served, or `auto` for the source; aliases and case do not matter."""
    given = fields.get(name)
    if not given or not isinstance(given, str):
        raise refusal(f"Invalid request: missing {name} parameter")
    code = given.replace("_", "-").lower()
    if code in CHINESE:
        return CHINESE_CODE
    if code == ENGLISH_CODE or (code == AUTO and name == "source"):
        return code
    raise refusal(f"{given} is not supported")


def alternatives(fields: Fields) -> int:
    """How many other translations are asked for."""
    given = fields.get("alternatives") or 0
    if isinstance(given, str) and given.isdecimal() and len(given) < 4:
        given = int(given)
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise refusal("Invalid request: alternatives is not a whole number")
    return given
