"""What routing knows of a request: frozen facts, put together by the room that speaks HTTP. Nothing is parsed twice."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from modelhost.errors import InvalidRequest
from modelhost.routing.features import ROLE, Value

HEADER = "X-Model-Version"
_MAJOR = re.compile(r"/v([1-9][0-9]{0,3})(?=/|$)")
_LONGEST_VERSION = 100
_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")


@dataclass(frozen=True, slots=True)
class VerifiedRole:
    """A role that a verified token carries. Only who has checked a token makes one; a role in a header is mere text."""

    name: str
    subject: str

    def __post_init__(self) -> None:
        if not self.name or not self.subject:
            raise ValueError("a verified role has a name and the subject of the token")


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """The facts that decide which version answers.

    `version`: asked for by name; `api`: the major version of the path; `key`: what an assignment sticks to (a user or
    session, never stored); `features`: values of declared features, one that is not known is left out; `id`: what a
    proxy or the caller calls the request, which records then name it by.
    """

    version: str | None = None
    api: int | None = None
    key: str | None = None
    role: VerifiedRole | None = None
    features: Mapping[str, Value] = field(default_factory=dict)
    id: str | None = None

    def __post_init__(self) -> None:
        if self.role is not None and not isinstance(self.role, VerifiedRole):
            raise TypeError("a role comes from a verified token, as a VerifiedRole")
        if ROLE in self.features or "api" in self.features:
            raise TypeError(f"`{ROLE}` and `api` are facts of their own and no features that a caller may hand in")
        object.__setattr__(self, "features", MappingProxyType(dict(self.features)))

    def values(self) -> dict[str, Value]:
        """All that a rule can see, by name."""
        values = dict(self.features)
        if self.role is not None:
            values[ROLE] = self.role.name
        if self.api is not None:
            values["api"] = self.api
        return values


def explicit_version(query: str | None, header: str | None) -> str | None:
    """The version that `?version=` or the header asks for; empty is none.

    Raises InvalidRequest where the two differ or the text is longer than any version.
    """
    asked = {text.strip() for text in (query, header) if text is not None and text.strip()}
    if len(asked) > 1:
        raise InvalidRequest(f"?version= and {HEADER} name two versions", "send one of them")
    version = asked.pop() if asked else None
    if version is not None and len(version) > _LONGEST_VERSION:
        raise InvalidRequest("the version asked for is too long to be one", "write it as 1.2.0")
    return version


def request_id(header: str | None) -> str | None:
    """The name that a proxy or the caller gave the request; None where there is none that can stand in a log."""
    return header if header is not None and _SANE_ID.fullmatch(header) else None


def api_major(path: str) -> int | None:
    """The API's major version that a path begins with: `/v2/translate` → 2, `/translate` → None."""
    found = _MAJOR.match(path)
    return int(found[1]) if found else None
