"""Shares: sticky, stable as they grow, fair, and independent between experiments."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhost.errors import ConfigError
from modelhost.routing.weights import WHOLE, Experiment, Variant

KEYS = [f"user-{number}" for number in range(2000)]


def never() -> float:
    raise AssertionError("chance was asked though there is a key")


def experiment(*shares: int, name: str = "AB", salt: str = "pepper") -> Experiment:
    variants = tuple(Variant(f"v{index}", f"1.{index}.0", share) for index, share in enumerate(shares))
    return Experiment(name, variants, salt)


def assigned(one: Experiment, keys: list[str]) -> dict[str, str]:
    found = {key: one.assign(key, never) for key in keys}
    return {key: variant.name if variant else "rest" for key, variant in found.items()}


@st.composite
def shares(draw: st.DrawFn) -> list[int]:
    cuts = sorted(draw(st.lists(st.integers(0, WHOLE), min_size=1, max_size=4)))
    return [high - low for low, high in zip([0, *cuts], cuts, strict=False)]


def test_an_assignment_is_the_same_in_every_process_and_release() -> None:
    got = [assigned(experiment(500_000), ["ann", "bob", "王", "eve"])[key] for key in ("ann", "bob", "王", "eve")]
    assert got == ["rest", "v0", "rest", "v0"]  # a change here would deal all people out anew


@settings(deadline=None)
@given(shares(), st.text(min_size=1), st.text())
def test_a_key_keeps_its_variant(given_shares: list[int], key: str, salt: str) -> None:
    assert experiment(*given_shares, salt=salt).assign(key, never) == experiment(*given_shares, salt=salt).assign(
        key, never
    )


@settings(deadline=None)
@given(shares(), st.data())
def test_a_share_that_grows_out_of_the_rest_loses_nobody_and_touches_none_before_it(
    given_shares: list[int], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(given_shares) - 1))
    more = data.draw(st.integers(0, WHOLE - sum(given_shares)))
    grown = [share + more * (place == index) for place, share in enumerate(given_shares)]
    keys = KEYS[:200]
    before, after = assigned(experiment(*given_shares), keys), assigned(experiment(*grown), keys)
    for key in keys:
        if before[key] in [f"v{place}" for place in range(index + 1)]:
            assert after[key] == before[key]


@settings(deadline=None)
@given(st.integers(0, WHOLE), st.integers(0, WHOLE))
def test_with_one_variant_only_those_move_who_must(first: int, second: int) -> None:
    small, large = sorted((first, second))
    before, after = assigned(experiment(small), KEYS[:300]), assigned(experiment(large), KEYS[:300])
    assert {key for key in before if before[key] == "v0"} <= {key for key in after if after[key] == "v0"}


@settings(deadline=None)
@given(shares())
def test_nobody_is_given_a_variant_without_a_share(given_shares: list[int]) -> None:
    counts = Counter(assigned(experiment(*given_shares), KEYS[:200]).values())
    assert all(counts[f"v{index}"] == 0 for index, share in enumerate(given_shares) if share == 0)
    assert sum(given_shares) < WHOLE or counts["rest"] == 0


def test_shares_come_out_as_they_were_given() -> None:
    counts = Counter(assigned(experiment(100_000, 300_000, 200_000), KEYS).values())
    expected = {"v0": 200, "v1": 600, "v2": 400, "rest": 800}
    assert all(abs(counts[name] - wanted) < 80 for name, wanted in expected.items()), counts  # over 3.5 sigma


@pytest.mark.parametrize("other", [{"name": "other"}, {"salt": "other"}])
def test_two_experiments_deal_people_out_independently(other: dict[str, str]) -> None:
    first, second = assigned(experiment(500_000), KEYS), assigned(experiment(500_000, **other), KEYS)
    both = Counter((first[key], second[key]) for key in KEYS)
    assert len(both) == 4
    assert all(abs(count - 500) < 80 for count in both.values()), both


@settings(deadline=None)
@given(shares(), st.floats(0, 1, exclude_max=True))
def test_without_a_key_chance_decides_by_the_same_shares(given_shares: list[int], chance: float) -> None:
    variant = experiment(*given_shares).assign(None, lambda: chance)
    point, below = int(chance * WHOLE), 0
    for index, share in enumerate(given_shares):
        if below <= point < below + share:
            assert variant is not None and variant.name == f"v{index}"
            return
        below += share
    assert variant is None


def test_an_empty_key_is_no_key() -> None:
    assert experiment(WHOLE).assign("", lambda: 0.5) is not None


@pytest.mark.parametrize("wrong", [(600_000, 600_000), (-1,), (WHOLE + 1,)])
def test_shares_that_are_none_are_refused(wrong: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError):
        experiment(*wrong)


def test_two_variants_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two variants of one name"):
        Experiment("AB", (Variant("a", None, 1), Variant("a", "1.0.0", 1)))
