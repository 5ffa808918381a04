"""The error tree. Each error says what happened, in which context, and what to do next; none is raised bare.

ReleaseError
├── Refused            exit 1   a check, the guard or a rule said no; nothing of the user's is broken
├── UsageError         exit 2   a wrong argument, tag or name
│   └── ManifestError  exit 2   release.yaml is not usable
├── Unusable           exit 3   something this needs does not work
│   ├── EngineError             Docker Engine, or the process engine
│   ├── BuildFailed             the image could not be built
│   ├── ProxyError              nginx, the flag tree
│   ├── RegistryError           the image registry
│   ├── ModelsError             the model registry, or a running service's model API
│   ├── SourceError             the git repository
│   ├── LedgerError             the ledger's file
│   └── ServiceError            the service itself: it did not start, or died
├── Locked             exit 4   another run holds the lock
├── Interrupted        exit 5   undone after a signal
├── Superseded         exit 6   a rollback or abort took over
└── Unobserved         exit 7   live, and too little traffic to tell
"""

from __future__ import annotations

from typing import ClassVar


class ReleaseError(Exception):
    """Base of every error this project raises.

    `message` says what happened, `hint` what to do about it, `context` holds short key/value facts (never secrets).
    """

    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, *, hint: str | None = None, **context: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.context: dict[str, object] = context

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n  {self.hint}"


class Refused(ReleaseError):
    exit_code = 1


class UsageError(ReleaseError):
    exit_code = 2


class ManifestError(UsageError):
    pass


class Unusable(ReleaseError):
    exit_code = 3


class EngineError(Unusable):
    pass


class BuildFailed(Unusable):
    pass


class ProxyError(Unusable):
    pass


class RegistryError(Unusable):
    pass


class ModelsError(Unusable):
    pass


class SourceError(Unusable):
    pass


class LedgerError(Unusable):
    pass


class ServiceError(Unusable):
    pass


class Locked(ReleaseError):
    exit_code = 4


class Interrupted(ReleaseError):
    exit_code = 5


class Superseded(ReleaseError):
    exit_code = 6


class Unobserved(ReleaseError):
    exit_code = 7
