"""Threads from what the container may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from translator.cpus import MOST_THREADS, default_threads, granted, threads


@pytest.mark.parametrize(
    ("text", "limit"), [("150000 100000\n", 1.5), ("max 100000\n", None), ("200000 100000\n", 2.0), ("", None)]
)
def test_a_control_group_of_version_2_says_its_quota(tmp_path: Path, text: str, limit: float | None) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert granted(tmp_path) == limit


@pytest.mark.parametrize(("quota", "limit"), [("50000", 0.5), ("-1", None)])
def test_a_control_group_of_version_1_says_it_in_two_files(tmp_path: Path, quota: str, limit: float | None) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert granted(tmp_path) == limit


def test_where_nothing_is_said_there_is_no_limit(tmp_path: Path) -> None:
    assert granted(tmp_path) is None


@pytest.mark.parametrize(
    ("limit", "processors", "expected"),
    [(None, 2, 2), (0.5, 8, 1), (1.9, 8, 1), (3.0, 8, 3), (3.0, 2, 2), (None, 64, MOST_THREADS)],
)
def test_threads_are_the_whole_processors_of_the_limit(limit: float | None, processors: int, expected: int) -> None:
    assert threads(limit, processors) == expected


def test_this_process_gets_no_more_than_it_may_run_on() -> None:
    assert 1 <= default_threads() <= len(os.sched_getaffinity(0))
