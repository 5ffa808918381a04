"""What a translation is to the faces of the service: the API, the page and the LibreTranslate shape share it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from starlette.requests import Request


@dataclass(frozen=True, slots=True)
class Answer:
    """The lines of one request, one for each text, and who made them.

    `version`: of the model that made them (`v1.1.0`), empty for the fallback. `request_id`: by it a thumb names this
    answer. `fallback`: dictionary and rules made it, no model. `confidence`: 0 to 1, None where there is none.
    `variant`: of an experiment (`AB:treatment`), empty where there is none. `headers`: what the answer says of its set.
    """

    lines: list[str]
    version: str
    request_id: str
    fallback: bool = False
    confidence: float | None = None
    variant: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


Answering = Callable[[Request, list[str]], Awaitable[Answer]]
"""Translates the texts of a request with the version that the request is routed to; raises `Refusal`."""
