"""The manifest's `rollout`, `hooks` and `freeze`: how traffic reaches a release, what runs beside, when none may."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from release.config.quantities import Fraction, Seconds
from release.config.section import Section


class Observe(Section):
    """Watching the live slot after the switch; a breach switches back at once."""

    for_: Seconds = Field(1800.0, alias="for", description="how long")
    max_error_rate: Fraction = Field(0.01, description="share of 5xx answers and lost connections that is tolerated")
    p95: Seconds | None = Field(None, description="95 of 100 answers begin within this time")
    min_requests: int = Field(200, ge=1, description="with fewer, requests of the benchmark set are sent as well")


class Rollout(Section):
    """How traffic reaches a new release."""

    strategy: Literal["bluegreen"] = Field("bluegreen", description="all traffic at once")
    observe: Observe = Field(default_factory=Observe, description="watching after the switch")
    rollback_barrier: bool = Field(
        False, description="no automatic or bare rollback goes behind this release (after a migration, say)"
    )


class Hooks(Section):
    """The user's own commands, run by the shell in the tagged tree. What they leave running ends with them.

    Each finds in its environment RELEASE_HOOK (its name), RELEASE_SERVICE, RELEASE_ENVIRONMENT, RELEASE_RELEASE (as in
    v1.2.0-abc1234), RELEASE_DEPLOYMENT, RELEASE_SLOT and RELEASE_CANDIDATE_URL, where the release answers once started.
    """

    before_start: str | None = Field(None, description="before the candidate starts")
    before_switch: str | None = Field(None, description="after every gate is green, before traffic moves")
    after_commit: str | None = Field(None, description="once the release is good")
    timeout: Seconds = Field(600.0, description="how long one hook may take")


class Freeze(Section):
    """A window in which `deploy` refuses (rollback never does): days and hours in the host's local time."""

    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = Field(
        (), description="days of the week; none given: every day"
    )
    from_: str = Field(
        "00:00", alias="from", pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="begin, such as 17:00 or 08:30"
    )
    to: str = Field("24:00", pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$", description="end, such as 18:30 or 24:00")
    reason: str = Field("", description="shown to whoever is refused")
