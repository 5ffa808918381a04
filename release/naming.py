"""Versions, tags and names: pure text in, text out. No clock, file or process is touched here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

# The official SemVer 2.0.0 grammar (semver.org), with the `v` that tags carry, and without build metadata:
# an image tag may not contain `+`.
# Every pattern is matched whole: `$` would let a line end through, and `\d` digits of other scripts.
_NUMBER = r"(?:0|[1-9][0-9]*)"
_IDENTIFIER = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_TAG = re.compile(rf"v({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?")
_RELEASE = re.compile(r"(v.+)-([0-9a-f]{7})")
_SERVICE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,48}[a-z0-9])?")
_SCOPE = re.compile(r"[a-z0-9][a-z0-9-]*")
_PLAIN = "abcdefghijklmnopqrstuvwxyz0123456789"
_LONGEST_ECHO = 80
_LONGEST_TAG = 100  # with a dash and seven digits of the commit it stays below the 128 of an image tag

LABEL_PREFIX = "release"
LABEL_SCOPE = "release.scope"  # on every image, layer and container of ours: the one label that says whose it is
LABEL_SERVICE = "release.service"
LABEL_ENVIRONMENT = "release.environment"
LABEL_RELEASE = "release.release"
LABEL_SLOT = "release.slot"
LABEL_DEPLOYMENT = "release.deployment"
LABEL_PORT = "release.port"  # on containers: the host port, which a stopped container does not tell otherwise
LABEL_ROLE = "release.role"  # on containers: candidate or release; on images: image, layer, base
LABEL_SNAPSHOT = "release.snapshot"
LABEL_CONFIG = "release.config"  # digest of the configuration the container was started with


class Slot(StrEnum):
    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> Slot:
        return Slot.GREEN if self is Slot.BLUE else Slot.BLUE


@dataclass(frozen=True)
class Version:
    """A SemVer version without build metadata; `pre` is empty or the pre-release part (`rc.1`, `fix-parsing-bug`)."""

    major: int
    minor: int
    patch: int
    pre: str = ""

    def __str__(self) -> str:
        core = f"{self.major}.{self.minor}.{self.patch}"
        return f"{core}-{self.pre}" if self.pre else core

    @property
    def tag(self) -> str:
        return f"v{self}"


@dataclass(frozen=True)
class ReleaseName:
    """`v1.2.0-abc1234`: a tag and the first seven characters of the full commit hash."""

    tag: str
    commit: str  # at least seven hexadecimal characters

    @property
    def sha7(self) -> str:
        return self.commit[:7]

    @property
    def version(self) -> str:
        return self.tag.removeprefix("v")

    def __str__(self) -> str:
        return f"{self.tag}-{self.sha7}"


def parse_tag(text: str) -> Version | None:
    """The version that a tag `vX.Y.Z[-pre]` names, or None where the text is no such tag."""
    match = _TAG.fullmatch(text)
    if match is None or len(text) > _LONGEST_TAG:
        return None
    major, minor, patch, pre = match.groups()
    return Version(int(major), int(minor), int(patch), pre or "")


def parse_release(text: str) -> ReleaseName | None:
    """`v1.2.0-rc.1-abc1234` → tag `v1.2.0-rc.1`, commit `abc1234`; None where it is no full release name."""
    match = _RELEASE.fullmatch(text)
    if match is None or parse_tag(match[1]) is None:
        return None
    return ReleaseName(match[1], match[2])


def snapshot_tag(base: Version, digest: str) -> str:
    """Tag of an uncommitted working tree: `v1.2.0-snapshot.h<11 hex of its content>`.

    The `h` keeps it a SemVer identifier: one of digits only may not begin with a zero.
    """
    return f"v{base.major}.{base.minor}.{base.patch}-snapshot.h{digest[:11]}"


def shortened(text: str) -> str:
    """Its first 80 characters, with … where there are more."""
    return text if len(text) <= _LONGEST_ECHO else text[: _LONGEST_ECHO - 1] + "…"


def echoed(text: str) -> str:
    """A name that a person typed, as a message repeats it: at most 80 characters, in quotes where it would not show."""
    short = shortened(text)
    return short if short.strip() == short != "" and short.isprintable() else repr(short)


def valid_service(name: str) -> bool:
    return _SERVICE.fullmatch(name) is not None


def scope(service: str, environment: str | None) -> str:
    """The name under which state, containers and images of one service in one environment live."""
    return f"{service}-{environment}" if environment else service


def container_name(scope_name: str, slot: Slot, release: ReleaseName | str, deployment: str) -> str:
    """Container names carry the deployment so that a second start never meets a name already taken."""
    return f"{scope_name}-{slot}-{release}-{deployment}"


def nginx_identifier(scope_name: str) -> str:
    """An nginx variable name: `my-app` is none. Distinct scopes stay distinct, though nginx ignores case.

    A scope has letters, digits and dashes, and begins with no dash; a dash becomes `_`. Any other text begins with a
    second `_` and has its remaining characters as `_<hex>_`.
    """
    if _SCOPE.fullmatch(scope_name):
        return "r_" + scope_name.replace("-", "_")
    return "r__" + "".join(c if c in _PLAIN else f"_{ord(c):x}_" for c in scope_name)
