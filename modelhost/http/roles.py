"""Who calls: a name and a role that a token carries. Each role may do what the ones before it may."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from modelhost.routing.request import VerifiedRole


class Role(IntEnum):
    """viewer looks, operator switches versions, admin changes the configuration."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3

    @classmethod
    def named(cls, text: str) -> Role:
        """The role of a name. Raises ValueError that lists the valid ones."""
        try:
            return cls[text.upper()]
        except KeyError:
            raise ValueError(f"{text!r} is no role; there are {', '.join(map(str, cls))}") from None

    def __str__(self) -> str:
        return self.name.lower()

    @property
    def with_article(self) -> str:
        """`a viewer`, `an operator`."""
        return f"{'an' if str(self)[0] in 'aeiou' else 'a'} {self}"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a verified token belongs to."""

    name: str
    role: Role

    @property
    def verified(self) -> VerifiedRole:
        """For routing rules over `user_role`."""
        return VerifiedRole(str(self.role), self.name)
