"""What a model API answers: the body of a good answer, or the toolkit's own error for a bad one."""

from __future__ import annotations

import re
from typing import Any

from release.errors import ModelsError, Refused, ReleaseError, Superseded, UsageError

_EVERYWHERE = ("/status", "/v2/repository/index")  # every model API has these, whatever it serves
# What a service says of a way out in the words of HTTP.
_RESTORE = re.compile(r"restore it first(?: \(POST /restore/[^)]*\))?(?:, and promote it)?")
_TOKEN = (
    "put one into RELEASE_MODELS_TOKEN, or models.token of release.yaml; "
    "where the service runs, `python -m modelhost.http.tokens add NAME ROLE` makes one (viewer, operator, admin)"
)


def read(status: int, content: bytes, base: str, path: str) -> Any:
    """The body of a good answer as JSON, None where there is none; else the error that it speaks of."""
    import json

    try:
        body = json.loads(content) if content.strip() else None
    except ValueError:
        body = None if 200 <= status < 300 else {}
        if 200 <= status < 300:
            raise stranger(base) from None
    if 200 <= status < 300:
        return body
    if not isinstance(body, dict) or "kind" not in body or (status == 404 and path in _EVERYWHERE):
        raise ModelsError(
            f"{base} answers {path} with {status}, and not as a model API does",
            hint="name the address of a service on modelhost; `models.prefix` says where its API is mounted",
        )
    kind = Superseded if body["kind"] == "Superseded" else _error_of(status)
    error, hint = str(body.get("error", "")), str(body.get("hint") or "")
    error = error.removesuffix(f"; {hint}")  # below /v2 both stand in one, for clients that show no hint
    hint = _RESTORE.sub("promote it with --restore", hint)
    if status in (401, 403):
        error, hint = f"{base} refuses the token: {error}" if status == 403 else f"{base}: {error}", _TOKEN
    raise kind(error, hint=hint or None, reason=str(body["kind"]))


def mapping(answer: Any, base: str) -> dict[str, Any]:
    """The answer as an object. Raises ModelsError where it is none."""
    if not isinstance(answer, dict):
        raise stranger(base)
    return answer


def rows(answer: Any, base: str) -> list[dict[str, Any]]:
    """The answer as a list of objects. Raises ModelsError where it is none."""
    if not isinstance(answer, list) or not all(isinstance(row, dict) for row in answer):
        raise stranger(base)
    return answer


def stranger(base: str) -> ModelsError:
    """The error of an address where something else answers."""
    return ModelsError(f"what answers at {base} is no model API", hint="is it the right URL, and the right prefix?")


def _error_of(status: int) -> type[ReleaseError]:
    if status in (400, 404):
        return UsageError
    return Refused if status in (409, 422) else ModelsError
