"""What a look at a repository gives: guesses, each with the place it comes from and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Certainty(StrEnum):
    SURE = "sure"  # the repository says so
    LIKELY = "likely"  # it says something that usually means so
    GUESS = "a guess"  # it says nothing; this is what most services do


@dataclass(frozen=True)
class Guess:
    """A value, why it was taken, and the file and line (from 1) that it was read from, where there is one."""

    value: str
    reason: str
    certainty: Certainty
    place: str = ""
    line: int | None = None

    @property
    def origin(self) -> str:
        """`Dockerfile, line 7: EXPOSE 8000 (sure)`."""
        where = (
            f"{self.place}, line {self.line}: " if self.line is not None else f"{self.place}: " if self.place else ""
        )
        return f"{where}{self.reason} ({self.certainty})"


@dataclass(frozen=True)
class Ports:
    """Ports of the host that nothing else uses; `admin` is the listener's own port of the proxy on loopback."""

    listen: int
    admin: int
    blue: int
    green: int


@dataclass(frozen=True)
class Findings:
    """All that `render` needs. `openapi` and `suite` are None where nothing speaks for them; `notes` are sentences."""

    service: Guess
    port: Guess
    health: Guess
    dockerfile: str
    ports: Ports
    openapi: Guess | None = None
    suite: str | None = None
    notes: tuple[str, ...] = ()

    def told(self) -> list[str]:
        """Lines for a person: what was taken, from where, how sure."""
        lines = [f"{name} {guess.value}: {guess.origin}" for name, guess in self._named()]
        ports = self.ports
        lines.append(f"slots {ports.blue} and {ports.green}, listener {ports.listen}: free on this host now")
        return [*lines, *self.notes]

    def _named(self) -> list[tuple[str, Guess]]:
        found = [("service", self.service), ("port", self.port), ("health path", self.health)]
        return [*found, ("OpenAPI", self.openapi)] if self.openapi is not None else found
