"""Evidence that a rate is over its budget, valid at every look. Pure arithmetic: counts in, evidence out.

Null hypothesis: each request is bad with probability at most p0, whatever came before. For an alternative that has r
times the odds, p1 = r·p0 / (1 − p0 + r·p0), the likelihood ratio after n requests, k of them bad, is

    E_r = (p1/p0)^k · ((1 − p1)/(1 − p0))^(n − k) = r^k / (1 − p0 + r·p0)^n

A single factor has an expectation of at most 1 under the null (it grows with the true rate, and is 1 at p0), so E_r and
the mean E over several r are non-negative supermartingales, and by Ville's inequality P(E ever reaches 1/α) ≤ α:
looking after every request costs nothing. (Wald 1945, sequential probability ratio test; Ville 1939; mixtures:
Robbins 1970; Ramdas, Grünwald, Vovk and Shafer 2023, "Game-theoretic statistics and safe anytime-valid inference".)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

RATIOS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0)


class BinomialEProcess:
    """One-sided: "the rate is at most `budget`", rejected for good once the evidence reaches 1/`alpha`.

    `budget` is a fraction; 0 tolerates nothing (the first bad request rejects), 1 everything.
    """

    def __init__(self, budget: float, alpha: float, ratios: Sequence[float] = RATIOS) -> None:
        if not (0 <= budget <= 1 and 0 < alpha < 1 and ratios and min(ratios) > 1):
            raise ValueError("budget from 0 to 1, alpha between them, and ratios above 1")
        self.budget = budget
        self.alpha = alpha
        self.requests = 0
        self.bad = 0
        self.rejected_at: int | None = None
        """How many requests had been seen when the evidence first sufficed."""
        # For each alternative: what a bad request adds to the logarithm, and what every request takes from it.
        self._terms = [(math.log(r), math.log(1 - budget + r * budget)) for r in ratios]

    @property
    def rejected(self) -> bool:
        return self.rejected_at is not None

    def good(self, count: int = 1) -> None:
        self.requests += count

    def worse(self) -> None:
        """One bad request. The evidence rises here only, so it is weighed here only."""
        self.requests += 1
        self.bad += 1
        if self.rejected_at is None and self.evidence() >= 1 / self.alpha:
            self.rejected_at = self.requests

    def evidence(self) -> float:
        """E now; 1 at the start, 1/α rejects. Infinite where the budget is 0 and something was bad."""
        if self.budget == 0:
            return math.inf if self.bad else 1.0
        if self.budget == 1:
            return 1.0
        logs = [self.bad * gain - self.requests * cost for gain, cost in self._terms]
        top = max(logs)
        if top > 600:
            return math.inf
        return math.exp(top) * math.fsum(math.exp(value - top) for value in logs) / len(logs)

    def detectable(self, requests: float) -> float | None:
        """The smallest rate that this many requests, counted from the start, typically show to be over the budget.

        The rate at which the expected growth of the best alternative alone reaches 1/α (Wald's approximation): a rate
        at this bound is found about every other time, one well above it nearly always. None where none is found.
        """
        if requests < 1 or self.budget == 1:
            return None
        if self.budget == 0:
            return min(1.0, 1 / requests)
        needed = math.log(len(self._terms) / self.alpha) / requests
        smallest = min((needed + cost) / gain for gain, cost in self._terms)
        return smallest if smallest <= 1 else None


def wilson(bad: int, requests: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval of a rate, 95 % at this z; (0, 1) without requests. (Wilson 1927.)"""
    if requests == 0:
        return 0.0, 1.0
    rate, z2 = bad / requests, z * z
    centre = rate + z2 / (2 * requests)
    spread = z * math.sqrt(rate * (1 - rate) / requests + z2 / (4 * requests * requests))
    scale = 1 + z2 / requests
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)
