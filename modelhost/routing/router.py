"""Which version answers a request: explicit version → API major → rules in their order → weights → default stable.

An API major fixes the shape of the answer, and may fix the version too. Where it fixes the shape alone, whatever
decides further must answer in that shape or have an adapter to it. A rule or a weight whose version is not there is
passed over, and the choice says so: an experiment that has gone stale costs nobody an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from modelhost.errors import InvalidRequest, Unavailable, Unknown
from modelhost.routing.choice import Choice, Why
from modelhost.routing.expression import Expression
from modelhost.routing.offers import Offer, Offers
from modelhost.routing.request import RequestFacts
from modelhost.routing.weights import Experiment

DEFAULT_NAMES = frozenset({"stable", "latest", "default"})
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Rule:
    """Requests that `when` matches go to `version`; None is the default one."""

    name: str
    when: Expression
    version: str | None


@dataclass(frozen=True, slots=True)
class ApiMajor:
    """`/v1`: answers in this shape, and by this version where one is named."""

    shape: str
    version: str | None = None


def only_itself(have: str, want: str) -> bool:
    """No adapters: a shape leads to itself alone."""
    return have == want


@dataclass(frozen=True)
class Router:
    """The routing of one component or set. `unknown`: what a version that is not there leads to, a 404 or the default.

    `adaptable(have, want)` says whether an answer in one shape can be brought into another. `chance` is asked for a
    number in [0, 1) where an experiment meets a request without a sticky key.
    """

    chance: Callable[[], float]
    rules: tuple[Rule, ...] = ()
    experiment: Experiment | None = None
    api: Mapping[int, ApiMajor] = field(default_factory=dict)
    unknown: Literal["refuse", "default"] = "refuse"
    adaptable: Callable[[str, str], bool] = only_itself

    def choose(self, facts: RequestFacts, offers: Offers) -> Choice:
        """Which version answers. Raises Unknown, InvalidRequest (no such shape), Unavailable (nothing serves)."""
        major = self._major(facts, offers)
        search = _Search(offers, major.shape if major else None, self.adaptable)
        if facts.version is not None:
            if (choice := self._explicit(facts.version, search)) is not None:
                return choice
        elif major is not None and major.version is not None:
            if (choice := search.take(major.version, Why.API, f"API /v{facts.api}")) is not None:
                return choice
        elif (choice := self._decided(facts, search)) is not None:
            return choice
        return search.default()

    def _major(self, facts: RequestFacts, offers: Offers) -> ApiMajor | None:
        if facts.api is None or not self.api:
            return None
        major = self.api.get(facts.api)
        if major is None:
            known = ", ".join(f"/v{number}" for number in sorted(self.api))
            raise Unknown(f"{offers.component} has no API /v{facts.api}", f"there is {known}")
        return major

    def _explicit(self, text: str, search: _Search) -> Choice | None:
        offers = search.offers
        if text in DEFAULT_NAMES:
            return search.default(Why.EXPLICIT)
        offer = offers.named(text)
        if offer is None or not (offer.public or offer.version == offers.default):
            if self.unknown == "refuse" and offer is not None:
                raise not_public(offers, offer)
            if self.unknown == "refuse":
                raise Unknown(f"{offers.component} has no version {_shown(text)} to ask for", _listed(offers))
            search.passed_over.append(f"version {_shown(text)} is not there")
            return None
        if not search.fits(offer):
            fitting = [other.version for other in offers.newest() if search.fits(other)]
            raise InvalidRequest(
                f"{offers.component} {offer.version} answers as {offer.shape}, and nothing leads to {search.shape}",
                f"ask for {' or '.join(fitting)}" if fitting else "use another version of the API",
            )
        return search.choice(offer, Why.EXPLICIT)

    def _decided(self, facts: RequestFacts, search: _Search) -> Choice | None:
        values = facts.values() if self.rules else {}
        for rule in self.rules:
            if rule.when.matches(values):
                choice = search.take(rule.version, Why.RULE, f"rule {rule.name}", rule=rule.name)
                if choice is not None:
                    return choice
        if self.experiment is None:
            return None
        variant = self.experiment.assign(facts.key, self.chance)
        if variant is None:
            return None
        label = self.experiment.label(variant)
        return search.take(variant.version, Why.WEIGHT, label, variant=label)


class _Search:
    """One request's way through the offers: what fits the shape that is asked for, and what was passed over."""

    def __init__(self, offers: Offers, shape: str | None, adaptable: Callable[[str, str], bool]) -> None:
        self.offers, self.shape, self.adaptable = offers, shape, adaptable
        self.passed_over: list[str] = []

    def fits(self, offer: Offer) -> bool:
        return self.shape is None or offer.shape == self.shape or self.adaptable(offer.shape, self.shape)

    def choice(self, offer: Offer, why: Why, rule: str = "", variant: str = "") -> Choice:
        shape = self.shape or offer.shape
        return Choice(self.offers.component, offer.version, shape, why, rule, variant, tuple(self.passed_over))

    def take(self, version: str | None, why: Why, who: str, rule: str = "", variant: str = "") -> Choice | None:
        """The choice of what an operator configured, or None, noted, where it cannot answer."""
        wanted = self.offers.default if version is None else version
        offer = self.offers.named(wanted) if wanted is not None else None
        if offer is None:
            self.passed_over.append(f"{who}: version {wanted or 'stable'} is not there")
        elif not self.fits(offer):
            self.passed_over.append(f"{who}: version {offer.version} answers as {offer.shape}, not as {self.shape}")
        else:
            return self.choice(offer, why, rule, variant)
        return None

    def default(self, why: Why = Why.DEFAULT) -> Choice:
        """What serves; where that cannot answer in the shape of the API, the newest that can."""
        if self.offers.default is None:
            raise Unavailable(f"{self.offers.component} has no version that serves", "try again in a moment")
        offer = self.offers.versions[self.offers.default]
        if self.fits(offer):
            return self.choice(offer, why)
        for other in self.offers.newest():
            if self.fits(other):
                return self.choice(other, Why.API)
        shapes = sorted({other.shape for other in self.offers.versions.values()})
        raise InvalidRequest(
            f"no version of {self.offers.component} answers as {self.shape}",
            f"there are answers as {', '.join(shapes)}: use another version of the API, or declare an adapter",
        )


def not_public(offers: Offers, offer: Offer) -> Unknown:
    """A version that there is, and that nobody may ask for as it is."""
    return Unknown(
        f"{offers.component} {offer.version} is not in memory, and not `routable`",
        f"an operator loads it, or lists it as `routable` in the configuration; {_listed(offers)}",
    )


def _listed(offers: Offers) -> str:
    names = [f"{offer.version}{'' if offer.resident else ' (loads first)'}" for offer in offers.newest()]
    return f"there is {', '.join(names)}" if names else "no version can be asked for by name"


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
