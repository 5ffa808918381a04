"""Durations, sizes and fractions: read as people write them, shown so that they read back as the same value."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from release.config.quantities import ratio, seconds, show_seconds, show_size, size


@pytest.mark.parametrize(
    ("written", "value"),
    [("800ms", 0.8), ("30s", 30), ("1.5m", 90), ("2h", 7200), ("1d", 86400), (5, 5), (0.25, 0.25), ("0s", 0)],
)
def test_durations_are_seconds(written: str | float, value: float) -> None:
    assert seconds(written) == value


@pytest.mark.parametrize(
    ("written", "value"),
    [("2g", 2 << 30), ("512m", 512 << 20), ("1.5k", 1536), ("64MB", 64 << 20), ("1GiB", 1 << 30), ("10", 10), (7, 7)],
)
def test_sizes_are_bytes_in_powers_of_1024(written: str | int, value: int) -> None:
    assert size(written) == value


@pytest.mark.parametrize(("written", "value"), [("1%", 0.01), ("0.5%", 0.005), (0.2, 0.2), (0, 0), ("100%", 1)])
def test_fractions_are_from_0_to_1(written: str | float, value: float) -> None:
    assert ratio(written) == value


def test_a_bare_1_is_neither_one_per_cent_nor_everything() -> None:
    with pytest.raises(ValueError, match="write 1% or 100%"):
        ratio(1)
    assert ratio(1.0) == 1, "as the ledger keeps 100%"


NOT_DURATIONS = ["", "s", "-1s", "1 year", "1s\nx", "٣s", True, None, -1, float("inf"), float("nan"), "9" * 15 + "d"]


@pytest.mark.parametrize("written", NOT_DURATIONS)
def test_what_is_no_duration_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        seconds(written)


@pytest.mark.parametrize("written", ["", "g", "-1g", "5x", "1.g", True, None, -1, 1.5, "9" * 400])
def test_what_is_no_size_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="is no size"):
        size(written)


@pytest.mark.parametrize("written", ["101%", "x%", "%", 1.1, -0.1, True, None, "0.1", float("nan")])
def test_what_is_no_fraction_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="is no "):
        ratio(written)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.floats(0, 1e8) | st.integers(0, 10**8).map(float) | st.integers(0, 10**7).map(lambda number: number / 1000))
def test_a_duration_as_shown_reads_back_as_itself(value: float) -> None:
    assert seconds(show_seconds(value)) == value


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 1 << 50))
def test_a_size_as_shown_reads_back_as_itself(value: int) -> None:
    assert size(show_size(value)) == value


@pytest.mark.parametrize(("value", "text"), [(0.8, "800ms"), (1800.0, "30m"), (90.0, "90s"), (86400.0, "1d")])
def test_durations_are_shown_short(value: float, text: str) -> None:
    assert show_seconds(value) == text
