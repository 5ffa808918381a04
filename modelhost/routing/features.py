"""The features that a rule may name, and the kind of value that each has. Declared, so that a typo is found early."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from modelhost.errors import ConfigError

Value = str | int | float | bool

ROLE = "user_role"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_RESERVED = frozenset({"and", "or", "not", "in", "is", "if", "else", "lambda", "true", "false", "none", "for", "await"})


class Kind(StrEnum):
    """What a feature's values are, in the words of the configuration."""

    NUMBER = "number"
    TEXT = "text"
    FLAG = "flag"

    def holds(self, value: object) -> bool:
        """True where `value` is of this kind; a bool is a flag and no number."""
        if isinstance(value, bool):
            return self is Kind.FLAG
        if isinstance(value, str):
            return self is Kind.TEXT
        return isinstance(value, int | float) and self is Kind.NUMBER


# `user_role` is filled in from a verified token alone, `api` from the path's major version (`/v2` → 2).
BUILT_IN: Mapping[str, Kind] = MappingProxyType(
    {"api": Kind.NUMBER, "language": Kind.TEXT, "text_length": Kind.NUMBER, ROLE: Kind.TEXT}
)


def declared(extra: Mapping[str, Kind]) -> Mapping[str, Kind]:
    """The built-in features and a service's own. Raises ConfigError for a name that is taken or cannot be written."""
    for name in extra:
        if name in BUILT_IN:
            raise ConfigError(
                f"the feature {name} is there already", f"give yours another name than {', '.join(BUILT_IN)}"
            )
        if not _NAME.fullmatch(name) or name in _RESERVED:
            raise ConfigError(f"{name!r} cannot be the name of a feature", "use a word such as text_length")
    return MappingProxyType({**BUILT_IN, **extra})
