"""A change between two API descriptions: where, what, and whether callers of the old one break."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    BREAKING = "breaking"  # a caller that keeps to the old description can fail
    WARNING = "warning"  # such a caller does not fail, and may be surprised
    INFO = "info"


class Way(StrEnum):
    """Whose side a value is seen from: a caller sends it (input) or gets it (output)."""

    INPUT = "input"
    OUTPUT = "output"


@dataclass(frozen=True)
class Change:
    """Prints as `POST /translate request application/json /text is now required`: what `allow` has to quote."""

    place: str
    text: str
    severity: Severity

    def __str__(self) -> str:
        return f"{self.place} {self.text}"

    def under(self, place: str) -> Change:
        """The same change seen from further up."""
        return Change(place + self.place, self.text, self.severity)


def breaking(place: str, text: str) -> Change:
    return Change(place, text, Severity.BREAKING)


def warning(place: str, text: str) -> Change:
    return Change(place, text, Severity.WARNING)


def info(place: str, text: str) -> Change:
    return Change(place, text, Severity.INFO)
