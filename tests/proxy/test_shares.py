from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from release.errors import ProxyError
from release.proxy import shares
from release.proxy.base import Traffic

owners = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,30}", fullmatch=True)
greens = st.integers(0, 1000)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(owners, greens, greens)
def test_a_growing_share_keeps_every_client_it_has(owner: str, one: int, other: int) -> None:
    small, large = sorted((one, other))
    assert set(shares.buckets(owner, small)) <= set(shares.buckets(owner, large))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(owners, greens)
def test_a_share_is_that_many_of_the_thousand_buckets(owner: str, green: int) -> None:
    chosen = shares.buckets(owner, green)
    assert len(set(chosen)) == green
    assert set(chosen) <= set(range(1000))


def test_another_deployment_meets_other_clients_first() -> None:
    first, second = set(shares.buckets("d-1", 50)), set(shares.buckets("d-2", 50))
    assert len(first & second) < 10


def test_buckets_do_not_change_between_releases_of_this_toolkit() -> None:
    assert shares.buckets("d-1", 5) == [895, 178, 101, 305, 784]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(greens)
def test_only_a_canary_needs_more_than_two_files(green: int) -> None:
    names = shares.files(Traffic(green, "d"))
    assert len(names) == (1 if green in (0, 1000) else green + 1)


@pytest.mark.parametrize("owner", ["", "..", "a/b", "a b", ".hidden", "a\n", "x" * 200])
def test_an_owner_that_is_no_file_name_is_refused(owner: str) -> None:
    with pytest.raises(ProxyError, match="cannot own traffic"):
        shares.checked(Traffic(0, owner))


@pytest.mark.parametrize("green", [-1, 1001])
def test_a_share_outside_zero_to_thousand_is_refused(green: int) -> None:
    with pytest.raises(ProxyError, match="per mille"):
        shares.checked(Traffic(green, "d"))
