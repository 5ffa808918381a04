"""Every log line carries version and variant."""

import asyncio
import contextvars
import io
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from modelhost.routing.logs import mark, served, serving


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter("%(model_version)s|%(variant)s|%(message)s"))
    logger = logging.getLogger("modelhost_logs_test")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    mark(handler)
    mark(handler)  # again does nothing
    yield text
    logger.removeHandler(handler)


LOG = logging.getLogger("modelhost_logs_test.somewhere.deep")


def test_a_line_of_any_logger_below_carries_version_and_variant(stream: io.StringIO) -> None:
    with serving("1.3.0", "AB:treatment"):
        LOG.info("%d words of %s", 3, "100%")
        LOG.info("plain 100%")
    assert stream.getvalue().splitlines() == [
        "1.3.0|AB:treatment|[1.3.0] [AB:treatment] 3 words of 100%",
        "1.3.0|AB:treatment|[1.3.0] [AB:treatment] plain 100%",
    ]


def test_outside_of_a_request_the_line_is_left_alone(stream: io.StringIO) -> None:
    with serving("1.3.0"):
        LOG.info("inside")
    LOG.info("outside")
    assert stream.getvalue().splitlines() == ["1.3.0|-|[1.3.0] inside", "-|-|outside"]
    assert served() is None


def test_two_handlers_mark_a_line_once(stream: io.StringIO) -> None:
    second = logging.StreamHandler(io.StringIO())
    mark(second)
    LOG.addHandler(second)
    try:
        with serving("1.3.0", "AB:b%d"):
            LOG.info("once %s", "only")
    finally:
        LOG.removeHandler(second)
    assert second.stream.getvalue() == "[1.3.0] [AB:b%d] once only\n"
    assert stream.getvalue().count("[1.3.0") == 1


def test_requests_side_by_side_keep_their_own(stream: io.StringIO) -> None:
    async def request(version: str) -> None:
        with serving(version):
            for _ in range(3):
                await asyncio.sleep(0)
                await asyncio.to_thread(LOG.info, "of %s", version)

    async def both() -> None:
        await asyncio.gather(request("1.0.0"), request("2.0.0"))

    asyncio.run(both())
    lines = stream.getvalue().splitlines()
    assert sorted(lines) == ["1.0.0|-|[1.0.0] of 1.0.0"] * 3 + ["2.0.0|-|[2.0.0] of 2.0.0"] * 3


def test_a_pool_of_ones_own_carries_it_in_a_copied_context(stream: io.StringIO) -> None:
    with ThreadPoolExecutor(1) as pool, serving("1.3.0"):
        pool.submit(contextvars.copy_context().run, LOG.info, "there").result()
    assert stream.getvalue() == "1.3.0|-|[1.3.0] there\n"
