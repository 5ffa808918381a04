"""The daemon's build stream, understood: which step, which containers it made, how it ended. Pure.

A failure arrives inside a stream that began with status 200, so the stream has to be read to its end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_STEP = re.compile(r"^Step \d+/\d+ : ")
_CONTAINER = re.compile(r"^ ---> Running in ([0-9a-f]{12,64})$")
_LAYER = re.compile(r"^ ---> ([0-9a-f]{12,64})$")
_KEPT = 60  # lines of output that an error report carries


class BuildStream:
    """Fed with every event of `api.build(decode=True)`; afterwards it tells what came of it."""

    def __init__(self) -> None:
        self.image_id: str | None = None
        self.error: str | None = None
        self.step = ""
        self.containers: list[str] = []
        self.layers: list[str] = []  # short ids of every layer on the way, made or found in the cache
        self.tail: list[str] = []

    def feed(self, event: Mapping[str, Any]) -> list[str]:
        """Takes one event in; returns its lines for a person."""
        if "error" in event or "errorDetail" in event:
            detail = event.get("errorDetail") or {}
            self.error = " ".join(str(detail.get("message") or event.get("error")).split())
            return []
        aux = event.get("aux") or {}
        if "ID" in aux:
            self.image_id = str(aux["ID"])
        if "status" in event:  # a base image on its way; the bars in between are noise
            return [] if event.get("progressDetail") else [_status(event)]
        return [line for raw in str(event.get("stream", "")).splitlines() if (line := self._line(raw))]

    def _line(self, raw: str) -> str:
        line = raw.rstrip()
        if not line:
            return ""
        if _STEP.match(line):
            self.step = line
        elif match := _CONTAINER.match(line):
            self.containers.append(match[1])
        elif match := _LAYER.match(line):
            self.layers.append(match[1])
        self.tail = [*self.tail, line][-_KEPT:]
        return line


def _status(event: Mapping[str, Any]) -> str:
    name = f"{event['id']}: " if event.get("id") else ""
    return f"{name}{event['status']}"
