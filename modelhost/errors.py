"""The error tree. Each error says what happened, in which context, and what to do next.

ModelHostError
├── InvalidRequest          400   a caller's input; the answer says what is wrong with it
├── Unauthenticated         401
├── Forbidden               403
├── Unknown                 404   no such component or version; the hint lists what there is
├── Conflict                409   exists already, or somebody else changed it first
│   └── Superseded                another generation serves than the caller expected: which, and with which versions
├── Refused                 422   what was handed in is not fit: the fields say why
│   ├── IncompleteMetadata
│   ├── IntegrityError            files are not those that were published
│   ├── EnvironmentMismatch       made for other libraries than run here
│   ├── MateMismatch              components that do not fit together
│   ├── UnsafeWeights             a pickle that nobody allowed
│   └── NothingStable             no version left to go back to
├── ConfigError             422
├── LoadFailed              500   a loader or a warm-up raised
└── Unavailable             503   try again: `retry_after` in seconds
    ├── Loading                   another caller loads it at this moment
    ├── NoRoom                    not enough memory, and nothing may be evicted
    └── RegistryUnavailable
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

_MISTAKES_NAMED = 3


class ModelHostError(Exception):
    """What happened (`message`), what to do next (`hint`, may be empty) and the HTTP status that fits."""

    status = 500

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}" if self.hint else self.message


class InvalidRequest(ModelHostError):
    """A caller's input that cannot be used."""

    status = 400


class Unauthenticated(ModelHostError):
    """No token, or one that nobody knows."""

    status = 401


class Forbidden(ModelHostError):
    """A token whose role does not reach this far."""

    status = 403


class Unknown(ModelHostError):
    """No such component or version; the hint lists what there is."""

    status = 404


class Conflict(ModelHostError):
    """It exists already, or somebody else changed it first."""

    status = 409


class Superseded(Conflict):
    """Another set serves than the one that a switch was meant for. `versions`: component → version of the set."""

    def __init__(
        self, message: str, hint: str = "", *, generation: int = 0, versions: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, hint)
        self.generation = generation
        self.versions = dict(versions or {})


class Refused(ModelHostError):
    """What was handed in is not fit; nothing has changed."""

    status = 422


class IncompleteMetadata(Refused):
    """A version was to be published without something that version.json must say."""


class IntegrityError(Refused):
    """Files are missing, cut, changed or swapped against what was published."""


class EnvironmentMismatch(Refused):
    """Made for other libraries than run here."""


class MateMismatch(Refused):
    """Components of a set that do not fit together."""


class UnsafeWeights(Refused):
    """Weights in a form that can run code, which nobody allowed."""


class NothingStable(Refused):
    """No stable version is left to go back to."""


def rejected(component: str, version: str, said: str = "") -> Refused:
    """The error for a version that somebody rejected, where one is wanted that may serve. `said`: who did and why."""
    hint = f"{said}restore {component} {version} first, or name another"
    return Refused(f"{component} {version} is rejected", hint)


def mistakes(found: Iterable[Mapping[str, Any]], whole: str) -> str:
    """What pydantic found wrong, the first of it, in one line: where, and what. `whole`: what the document is called,
    where it is wrong as such."""
    first = islice(found, _MISTAKES_NAMED)
    return "; ".join(f"{'.'.join(map(str, one['loc'])) or whole}: {one['msg']}" for one in first)


class ConfigError(ModelHostError):
    """A configuration that cannot be used; the running one stays."""

    status = 422


class LoadFailed(ModelHostError):
    """A loader or a warm-up raised; what was loaded before is as it was."""


class Unavailable(ModelHostError):
    """Not now; `retry_after` is in seconds."""

    status = 503

    def __init__(self, message: str, hint: str = "", retry_after: float = 1.0) -> None:
        super().__init__(message, hint)
        self.retry_after = retry_after


class Loading(Unavailable):
    """Another caller loads this version at this moment."""


class NoRoom(Unavailable):
    """Not enough memory, and nothing that is resident may be evicted."""


class RegistryUnavailable(Unavailable):
    """The registry's storage does not answer."""
