"""The Docker Engine's HTTP API, asked directly: for the few questions that a rollback waits for.

Importing the SDK takes longer than the whole of a warm rollback may take. Only what needs no stream and no login goes
this way; everything else uses the SDK (release/daemon.py). https://docs.docker.com/reference/api/engine/version/v1.41/
"""

from __future__ import annotations

import http.client
import json
import os
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from release.direct.deadline import Connection
from release.errors import EngineError

_TIMEOUT = 10.0  # seconds for one call as a whole


class Direct:
    """Questions to one daemon over its unix socket or plain TCP. `usable` is False for TLS and ssh: use the SDK."""

    def __init__(self, host: str, hint: str) -> None:
        try:
            self._parts = urlsplit(host)
            _ = self._parts.port
        except ValueError as error:
            raise EngineError(
                f"{host} is no address of a Docker Engine: {error}",
                hint="write DOCKER_HOST (or engine.host in release.yaml) as unix:///path or tcp://host:port",
            ) from error
        self._hint = hint

    @property
    def usable(self) -> bool:
        if self._parts.scheme == "unix":
            return True
        return self._parts.scheme in ("tcp", "http") and not os.environ.get("DOCKER_TLS_VERIFY")

    def ask(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of one call. Raises EngineError where the daemon does not answer, or with a 5xx."""
        connection = self._connection()
        target = quote(path) + (f"?{urlencode(query)}" if query else "")
        text = None if body is None else json.dumps(body)
        try:
            connection.request(method, target, text, {"Host": "docker", "Content-Type": "application/json"})
            answer = connection.getresponse()
            status, data = answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise EngineError(f"the Docker Engine does not answer ({reason})", hint=self._hint) from error
        finally:
            connection.close()
        try:
            said = json.loads(data) if data else None
        except ValueError as error:
            raise EngineError(f"the Docker Engine answered {path} with what is no JSON", hint=self._hint) from error
        if status >= 500:
            message = said.get("message", "") if isinstance(said, dict) else ""
            raise EngineError(f"the Docker Engine answered {status} to {path}: {message}", status=status)
        return status, said

    def _connection(self) -> Connection:
        if self._parts.scheme == "unix":
            return Connection(self._parts.path, _TIMEOUT)
        host = self._parts.hostname or "127.0.0.1"
        return Connection(
            f"[{host}]:{self._parts.port or 2375}" if ":" in host else f"{host}:{self._parts.port or 2375}", _TIMEOUT
        )
