"""A load that keeps its exchanges has every request in them, on the clock of whoever switches meanwhile."""

from __future__ import annotations

import time

from benchmarks import echo
from benchmarks.load import Load, Shot


def test_every_request_is_kept_with_its_times_and_who_answered() -> None:
    with echo.running("blue") as port:
        began = time.perf_counter()
        with Load(f"http://127.0.0.1:{port}", [Shot(path="/x")], clients=4, keep=True) as load:
            while load.sent < 40:
                time.sleep(0.001)
            result = load.stop()
        ended = time.perf_counter()
    assert len(result.exchanges) == result.requests >= 40
    assert {each.answer for each in result.exchanges} == {"blue"}
    assert all(began <= each.began <= each.ended <= ended for each in result.exchanges)


def test_a_request_that_failed_is_kept_without_an_answer() -> None:
    with (
        echo.running("blue") as port,
        Load(f"http://127.0.0.1:{port}", clients=2, answer="header:X-No", keep=True) as load,
    ):
        result = load.stop()
    assert result.failed == result.requests == len(result.exchanges)
    assert {each.answer for each in result.exchanges} == {None}


def test_nothing_is_kept_where_nobody_asked() -> None:
    with echo.running("blue") as port, Load(f"http://127.0.0.1:{port}", clients=2) as load:
        result = load.stop()
    assert result.requests and not result.exchanges
