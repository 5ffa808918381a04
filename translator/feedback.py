"""Thumbs: what people think of an answer, recorded with the id and the version that it came from.

A file of JSON lines keeps them, one line a thumb: `{"when", "request_id", "version", "variant", "thumb", "comment"}`,
variant and comment only where there are any. A thumb that replaces an earlier one of the same answer is
a line more, and the later line counts. The counter counts thumbs as they were given. The texts themselves are not kept.

An answer that this process does not know may be another replica's, or of the release before: its thumb is taken with
the version and variant that the caller saw, and the line says `"verified": false`. Anybody can make those up, so they
get half of the file at most, and one series of the counter.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from fastapi import FastAPI, Request
from prometheus_client import CollectorRegistry, Counter
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from translator.answering import Answer
from translator.errors import Refusal
from translator.schema import ErrorAnswer

LOG = logging.getLogger("uvicorn.error")
REMEMBERED = 10_000  # answers: the last ones, 3 MB; 20 if all had the longest comments
UNVERIFIED = 1_000  # thumbs for answers that are not known here, against repetitions
LARGEST_FILE = 64 << 20  # bytes; a stranger who thumbs without end does not fill the disk
FALLBACK = "fallback"  # what a version is called that is none
UNKNOWN = "unknown"  # and one that nobody named
OTHERS = "unverified"  # the counter's version of what is not known here
# As ours and nginx's are; ids that a caller chose are known to the process that answered alone.
ID = re.compile(r"[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}", re.IGNORECASE)

Thumb = Literal["up", "down"]


class FeedbackRequest(BaseModel):
    """A thumb for one answer; `version` and `variant`, as that named them, are for a process that does not know it."""

    model_config = ConfigDict(extra="forbid")

    request_id: str = Field(max_length=200, description="`request_id` of the answer")
    thumb: Thumb
    comment: str | None = Field(default=None, max_length=500, description="In the person's own words")
    version: str | None = Field(default=None, max_length=200, description="`model_version` of the answer")
    variant: str | None = Field(default=None, max_length=200, description="`X-Model-Variant` of the answer")


@dataclass(frozen=True, slots=True)
class About:
    """What is remembered of an answer, and the last thumb that it was given. `verified`: it was made here."""

    version: str
    variant: str = ""
    given: tuple[Thumb, str] | None = None
    verified: bool = True


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


class Feedback:
    """Recent answers, and the thumbs that they got. Safe from several threads.

    `path`: the file of thumbs; None keeps them in the counter alone. An answer is forgotten after `remembered` others.
    """

    def __init__(
        self,
        path: Path | None,
        registry: CollectorRegistry,
        remembered: int = REMEMBERED,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._path = path
        self._remembered = remembered
        self._clock = clock
        self._answers: OrderedDict[str, About] = OrderedDict()
        self._others: OrderedDict[str, About] = OrderedDict()
        self._lock = threading.Lock()
        self._counter = Counter(
            "translator_feedback", "Thumbs given to answers", ["version", "thumb"], registry=registry
        )

    def remember(self, answer: Answer) -> None:
        """Let a thumb name this answer."""
        with self._lock:
            keep(self._answers, answer.request_id, About(answer.version or FALLBACK, answer.variant), self._remembered)

    def give(self, asked: FeedbackRequest) -> None:
        """Record a thumb; the same one again changes nothing. Raises `Refusal`."""
        with self._lock:
            about = self._answers.get(asked.request_id) or self._others.get(asked.request_id) or unverified(asked)
            given = (asked.thumb, asked.comment or "")
            if about.given == given:
                return
            self._write(asked, about)
            if about.verified:
                self._answers[asked.request_id] = replace(about, given=given)
            else:
                keep(self._others, asked.request_id, replace(about, given=given), UNVERIFIED)
        self._counter.labels(about.version if about.verified else OTHERS, asked.thumb).inc()

    def _write(self, asked: FeedbackRequest, about: About) -> None:
        if self._path is None:
            return
        line = {
            "when": self._clock().isoformat(timespec="milliseconds"),
            "request_id": asked.request_id,
            "version": about.version,
            **({"variant": about.variant} if about.variant else {}),
            **({} if about.verified else {"verified": False}),
            "thumb": asked.thumb,
            **({"comment": asked.comment} if asked.comment else {}),
        }
        most = LARGEST_FILE if about.verified else LARGEST_FILE // 2
        try:
            append(self._path, (json.dumps(line, ensure_ascii=False) + "\n").encode(), most)
        except OSError as error:
            LOG.error("feedback cannot be written to %s: %s", self._path, error)
            raise Refusal(503, "not_recorded", "The thumb could not be written down; try again later.") from error


def unverified(asked: FeedbackRequest) -> About:
    """What a caller says of an answer that is not known here. Raises `Refusal` where its id cannot be an answer's."""
    if not ID.fullmatch(asked.request_id):
        raise Refusal(404, "unknown_request", "No answer has this request_id.")
    return About(asked.version or UNKNOWN, asked.variant or "", verified=False)


def keep(answers: OrderedDict[str, About], request_id: str, about: About, most: int) -> None:
    """The newest `most` of them."""
    answers[request_id] = about
    while len(answers) > most:
        answers.popitem(last=False)


def append(path: Path, line: bytes, most: int) -> None:
    """Add a line in one write, which others that append to the file do not cut in two; raises OSError, also where the
    file would have more than `most` bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        before = os.fstat(descriptor).st_size
        if before + len(line) > most:
            raise OSError(f"it has {before} bytes, and {most} are allowed: move it away")
        if os.write(descriptor, line) != len(line):
            os.ftruncate(descriptor, before)
            raise OSError("the disk is full")
    finally:
        os.close(descriptor)


def add_feedback(app: FastAPI, feedback: Feedback) -> None:
    """Answer `POST /feedback`: 204, or an error in the service's own form."""
    described: dict[str, Any] = {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": FeedbackRequest.model_json_schema()}},
        }
    }
    errors: dict[int | str, dict[str, Any]] = {
        404: {"model": ErrorAnswer, "description": "No answer can have this id (`unknown_request`)"},
        422: {"model": ErrorAnswer, "description": "Not a thumb (`wrong_type`)"},
        503: {"model": ErrorAnswer, "description": "It could not be written down (`not_recorded`)"},
    }

    @app.post("/feedback", status_code=204, responses=errors, openapi_extra=described, summary="A thumb for an answer")
    async def give_feedback(request: Request) -> None:
        try:
            asked = FeedbackRequest.model_validate_json(await request.body())
        except ValidationError as error:
            expected = 'Send {"request_id": "…", "thumb": "up" or "down", "comment": "at most 500 characters, if any"}'
            raise Refusal(422, "wrong_type", f"{expected}: {error.errors()[0]['msg']}.") from error
        await asyncio.to_thread(feedback.give, asked)
