"""What routing decided, and why: the version, the shape of the answer, and the words for headers, records and logs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Why(StrEnum):
    """What decided, the strongest first."""

    EXPLICIT = "explicit"
    API = "api"
    RULE = "rule"
    WEIGHT = "weight"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Choice:
    """`version` answers, and its answer is brought into `shape`.

    `rule`: the rule that matched; `variant`: the label of an experiment's variant (`AB:treatment`); `passed_over`: what
    would have decided and could not, in words, because its version is not there or does not answer in this shape.
    """

    component: str
    version: str
    shape: str
    why: Why
    rule: str = ""
    variant: str = ""
    passed_over: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """One phrase: `rule short-for-admins`, `weight AB:treatment`, `default`."""
        return " ".join(filter(None, (self.why.value, self.rule or self.variant)))
