"""Lanes: bounded, and left at once."""

from __future__ import annotations

import threading
import time

import pytest

from release.checks.lanes import Lanes


class Tool:
    def __init__(self) -> None:
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()


def test_every_item_comes_back_once_with_its_index_and_no_more_run_at_once_than_lanes() -> None:
    running, most = 0, 0
    lock = threading.Lock()

    def work(_: Tool, item: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.002)
        with lock:
            running -= 1
        return item * item

    with Lanes(3, Tool, lambda: None) as lanes:
        assert sorted(lanes.map(work, range(40))) == [(n, n * n) for n in range(40)]  # type: ignore[arg-type]
    assert 1 < most <= 3


def test_what_alive_raises_leaves_while_every_lane_is_stuck(stops_after, stopped) -> None:
    release = threading.Event()
    with pytest.raises(stopped), Lanes(2, Tool, stops_after(0.2)) as lanes:
        list(lanes.map(lambda _, item: release.wait(60), range(50)))
    assert not release.is_set()
    release.set()


def test_an_error_in_the_work_is_raised_in_the_caller_and_clients_are_closed() -> None:
    tools: list[Tool] = []

    def tool() -> Tool:
        tools.append(Tool())
        return tools[-1]

    def fail(_: Tool, item: int) -> None:
        raise KeyError(item)

    with pytest.raises(KeyError), Lanes(2, tool, lambda: None) as lanes:
        lanes.one(fail, 7)
    assert all(tool.closed.wait(60) for tool in tools)


def test_leaving_early_drops_what_has_not_begun() -> None:
    begun: list[int] = []

    def work(_: Tool, item: int) -> None:
        begun.append(item)
        time.sleep(0.2)

    with Lanes(1, Tool, lambda: None) as lanes:
        results = lanes.map(work, range(100))
        next(results)
        results.close()
        lanes.one(work, 1000)
    assert len(begun) < 50
