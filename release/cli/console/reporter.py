"""What every reporter can do: take events, and be closed. A reporter that cannot write never harms a deployment."""

from __future__ import annotations

from typing import Protocol

from release.cli.console import harmless
from release.pipeline.events import Event


class Reporter(Protocol):
    def __call__(self, event: Event) -> None: ...

    def close(self) -> None:
        """Ends whatever is still moving on the screen; may be called twice."""


class Steady:
    """Falls silent where the terminal is gone or the reader left: the deployment goes on without an audience.

    Every event comes through here, so this is where texts from outside are made harmless.
    """

    def __init__(self, inner: Reporter) -> None:
        self._inner: Reporter | None = inner

    def __call__(self, event: Event) -> None:
        if self._inner is not None:
            try:
                self._inner(harmless.of(event))
            except (OSError, ValueError):  # ValueError: the stream was closed
                self._inner = None

    def close(self) -> None:
        if self._inner is not None:
            try:
                self._inner.close()
            except (OSError, ValueError):
                self._inner = None
