"""How often the quality gate errs, by simulation: systems made by corrupting references, judged by the gate's own rule.

The claims are on true rates; a claim is refuted only by a count that would come up in fewer than one of a thousand such
experiments if it were true (exact binomial tail).
"""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from scipy.stats import binom

from release.checks import statistics
from release.checks.comparison import decide
from release.checks.scoring import Scorer
from release.verdict import Outcome

CASES = 1000
RUNS = 40
MARGIN = 2.0
POOL = 2500
WORDS = [a + b + c for a in "bdklmnrs" for b in "aeiou" for c in ("ta", "vi", "so", "pe", "", "n")]


@pytest.fixture(scope="module")
def pool() -> dict[str, statistics.Array]:
    """BLEU statistics of cases for four systems: live, an equal one with other errors, and two that are worse."""
    generator = random.Random(8)
    references = [" ".join(generator.choices(WORDS, k=generator.randint(5, 25))) for _ in range(POOL)]

    def system(rate: float, seed: int) -> list[str]:
        dice = random.Random(seed)
        return [" ".join(dice.choice(WORDS) if dice.random() < rate else w for w in r.split()) for r in references]

    # Half of live's errors are shared, as those of two versions of one model are.
    live, other = system(0.24, 1), system(0.24, 2)
    systems = {
        "live": live,
        "equal": [one if n % 2 else two for n, (one, two) in enumerate(zip(live, other, strict=True))],
        "at margin": [one if n % 2 else two for n, (one, two) in enumerate(zip(live, system(0.267, 3), strict=True))],
        "worse": system(0.264, 4),
    }
    scorer = Scorer("bleu")
    return {name: scorer.statistics(texts, references, lambda: None) for name, texts in systems.items()}


def outcomes(pool: dict[str, statistics.Array], name: str) -> Counter[Outcome]:
    generator = np.random.default_rng(21)
    found: Counter[Outcome] = Counter()
    for _ in range(RUNS):
        picks = generator.integers(POOL, size=CASES)
        sides = [{"bleu": pool[side][picks]} for side in (name, "live")]
        found[decide(statistics.compare(*sides, range(CASES), 300, 1)["bleu"], MARGIN)] += 1
    return found


def difference(pool: dict[str, statistics.Array], name: str) -> float:
    scorer = Scorer("bleu")
    return scorer.score(pool[name]) - scorer.score(pool["live"])


def test_an_equal_system_passes(pool) -> None:
    assert abs(difference(pool, "equal")) < 0.5
    found = outcomes(pool, "equal")
    assert binom.cdf(found[Outcome.PASS], RUNS, 0.95) > 0.001, found
    assert found[Outcome.FAIL] == 0


def test_a_system_four_bleu_worse_is_refused(pool) -> None:
    assert -5 < difference(pool, "worse") < -3.5
    found = outcomes(pool, "worse")
    assert binom.sf(found[Outcome.PASS] - 1, RUNS, 0.01) > 0.001, found
    assert binom.cdf(found[Outcome.FAIL], RUNS, 0.5) > 0.001, found


def test_between_them_nobody_can_tell_and_it_says_so(pool) -> None:
    assert -2.6 < difference(pool, "at margin") < -1.4
    found = outcomes(pool, "at margin")
    assert found[Outcome.NO_DATA] > RUNS / 2, found
    assert binom.sf(found[Outcome.PASS] - 1, RUNS, 0.2) > 0.001, found
