"""The door to the Docker Engine: how a client is opened, and the SDK's exceptions as ours.

Both rooms that talk to the daemon (images and the engine) come through here; what they ask of it is theirs.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from release.errors import EngineError

if TYPE_CHECKING:
    from docker import APIClient
    from requests import Response

DEFAULT_HOST: Final = "unix:///var/run/docker.sock"
TIMEOUT: Final = 60.0  # seconds without a byte from the daemon before a call is given up


class Daemon:
    """Clients for one daemon. The SDK's client is not safe across threads, so each thread gets its own.

    `host` is a Docker host URL; default: DOCKER_HOST, else the local socket. The CLI's context is not followed: which
    daemon serves must not depend on what somebody chose in a terminal. The API version is negotiated, never pinned.
    """

    def __init__(self, host: str | None = None) -> None:
        self.host = host or os.environ.get("DOCKER_HOST") or DEFAULT_HOST
        self._from_environment = host is None or host == os.environ.get("DOCKER_HOST")
        self._local = threading.local()

    @property
    def is_local(self) -> bool:
        """Whether the daemon's files are on this machine."""
        return self.host.startswith("unix://")

    @property
    def api(self) -> APIClient:
        """This thread's client. Raises EngineError where the daemon does not answer."""
        client: APIClient | None = getattr(self._local, "client", None)
        # A connection must not be shared with a forked child either.
        if client is None or self._local.pid != os.getpid():
            client = self.connect()
            self._local.client = client
            self._local.pid = os.getpid()
        return client

    def connect(self, timeout: float = TIMEOUT) -> APIClient:
        """A client of one's own, for long streams; close it after use."""
        with self.errors("connect to the Docker Engine"):
            from docker import APIClient
            from docker.utils import kwargs_from_env

            options: dict[str, Any] = dict(kwargs_from_env()) if self._from_environment else {}
            return APIClient(**(options | {"base_url": self.host, "timeout": timeout, "version": None}))

    @contextmanager
    def stream(self, timeout: float) -> Iterator[APIClient]:
        """A client of one's own for a build, push or pull; `timeout` is the longest silence in seconds. Its responses
        are closed at the end, whatever a traceback still holds on to: that is what makes the daemon stop working."""
        opened: list[Response] = []

        def note(response: Response, *_: Any, **__: Any) -> None:
            opened.append(response)

        client = self.connect(timeout)
        client.hooks["response"].append(note)
        try:
            yield client
        finally:
            for response in opened:
                response.close()
            client.close()

    @contextmanager
    def errors(self, doing: str) -> Iterator[None]:
        """Maps what the SDK, requests and urllib3 raise to EngineError: `could not <doing>: <reason>`."""
        import requests
        import urllib3
        from docker.errors import APIError, DockerException, StreamParseError

        try:
            yield
        except APIError as error:
            raise EngineError(f"could not {doing}: {explain(error)}", status=error.status_code) from error
        except (DockerException, StreamParseError, requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise EngineError(f"could not {doing}: {_short(error)}", hint=self._hint(str(error))) from error
        except OSError as error:
            raise EngineError(f"could not {doing}: {_short(error)}", hint=self._hint(str(error))) from error

    def _hint(self, text: str) -> str:
        if "Permission denied" in text or "PermissionError" in text:
            return "let this user talk to the Docker Engine: sudo usermod -aG docker $USER, then log in again"
        if "timed out" in text.lower() or "timeout" in text.lower():
            return f"the Docker Engine at {self.host} is slow to answer: docker info; systemctl status docker"
        if self.is_local:
            return "start the Docker Engine: sudo systemctl start docker (or sudo dockerd); then: docker info"
        return f"is the Docker Engine at {self.host} reachable? check DOCKER_HOST or engine.host in release.yaml"


def explain(error: Any) -> str:
    """The daemon's own words in an APIError, on one line."""
    text = error.explanation or str(error)
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return " ".join(str(text).split())


def status(error: BaseException) -> int | None:
    """The HTTP status behind an EngineError that `errors` made; None where there was none."""
    code = error.context.get("status") if isinstance(error, EngineError) else None
    return code if isinstance(code, int) else None


def labels_filter(labels: Mapping[str, str | None], **more: Any) -> dict[str, Any]:
    """The API's filter for labels: a value of None asks only that the label exists."""
    return {"label": [key if value is None else f"{key}={value}" for key, value in labels.items()], **more}


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    for sign, said in (
        ("PermissionError", "permission denied on its socket"),
        ("Permission denied", "permission denied on its socket"),
        ("FileNotFoundError", "no Docker Engine is running here"),
        ("No such file or directory", "no Docker Engine is running here"),
        ("Connection refused", "nothing answers there"),
        ("ConnectionRefusedError", "nothing answers there"),
    ):
        if sign in text:
            return said
    return text[:300]
