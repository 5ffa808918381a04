"""Every log line carries version and variant, whatever handlers there are, and nothing stays behind."""

import asyncio
import contextvars
import io
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from modelhost.routing.logs import Marked, mark, served, serving, unmark


@pytest.fixture
def marked() -> Iterator[None]:
    mark()
    yield
    unmark()


@pytest.fixture
def stream(marked: None) -> Iterator[io.StringIO]:
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter("%(modelhost_version)s|%(modelhost_variant)s|%(message)s"))
    logger = logging.getLogger("modelhost_logs_test")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield text
    logger.removeHandler(handler)


LOG = logging.getLogger("modelhost_logs_test.somewhere.deep")


def test_a_line_of_any_logger_carries_version_and_variant(stream: io.StringIO) -> None:
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


def test_a_line_is_marked_once_however_many_handlers_write_it_and_however_often_it_was_asked_for(
    stream: io.StringIO,
) -> None:
    second = logging.StreamHandler(io.StringIO())
    LOG.addHandler(second)
    mark()
    try:
        with serving("1.3.0", "AB:b%d"):
            LOG.info("once %s", "only")
    finally:
        unmark()
        LOG.removeHandler(second)
    assert second.stream.getvalue() == "[1.3.0] [AB:b%d] once only\n"
    assert stream.getvalue().count("[1.3.0") == 1


def test_the_factory_of_an_application_is_kept_within_ours_around_ours_and_after_it(stream: io.StringIO) -> None:
    plain = logging.getLogRecordFactory()

    def around(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = plain(*args, **kwargs)
        record.service = "greetings"
        return record

    logging.setLogRecordFactory(around)
    try:
        mark()
        with serving("1.3.0"):
            assert LOG.makeRecord("x", 20, "", 0, "said", (), None).getMessage() == "[1.3.0] said"
        unmark()  # the fixture's mark holds
        assert logging.getLogRecordFactory() is not plain
        unmark()  # and now nobody wants it, though it is still called, by the factory around it
        with serving("1.3.0"):
            record = LOG.makeRecord("x", 20, "", 0, "said", (), None)
        assert (record.getMessage(), record.__dict__["service"]) == ("said", "greetings")
    finally:
        mark()
        logging.setLogRecordFactory(plain)


def test_without_anybody_who_wants_it_the_factory_is_the_one_that_was_there() -> None:
    before = logging.getLogRecordFactory()
    mark()
    mark()
    unmark()
    assert logging.getLogRecordFactory() is not before
    unmark()
    assert logging.getLogRecordFactory() is before


def test_fields_that_an_application_gives_its_lines_are_its_own(stream: io.StringIO) -> None:
    with serving("1.3.0", "AB:treatment"):
        LOG.info("%s", "mine", extra={"version": "7", "variant": "blue", "model_version": "m"})
    assert stream.getvalue() == "1.3.0|AB:treatment|[1.3.0] [AB:treatment] mine\n"


def test_an_object_that_a_format_of_json_writes_stays_one(stream: io.StringIO) -> None:
    class Json(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            assert isinstance(record.msg, dict)
            return json.dumps({**record.msg, "variant": record.__dict__["modelhost_variant"]})

    logging.getLogger("modelhost_logs_test").handlers[0].setFormatter(Json())
    with serving("1.3.0", "AB:treatment"):
        LOG.info({"words": 3})
    assert json.loads(stream.getvalue()) == {"words": 3, "variant": "AB:treatment"}


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


def test_what_is_said_of_a_request_after_its_handler_is_its_own_too_and_of_the_next_no_more(
    stream: io.StringIO,
) -> None:
    async def handler(scope: Any, receive: Any, send: Any) -> None:
        def answer() -> None:
            with serving(scope["version"]):
                pass

        if scope["version"]:
            await asyncio.create_task(asyncio.to_thread(answer))  # as middleware and a synchronous endpoint do

    async def server() -> None:
        for version in ("1.0.0", "2.0.0", ""):  # one connection, whose requests follow each other in one context
            await Marked(handler)({"type": "http", "version": version}, None, None)
            LOG.info("answered")

    asyncio.run(server())
    assert stream.getvalue().splitlines() == ["1.0.0|-|[1.0.0] answered", "2.0.0|-|[2.0.0] answered", "-|-|answered"]


def test_a_pool_of_ones_own_carries_it_in_a_copied_context(stream: io.StringIO) -> None:
    with ThreadPoolExecutor(1) as pool, serving("1.3.0"):
        pool.submit(contextvars.copy_context().run, LOG.info, "there").result()
    assert stream.getvalue() == "1.3.0|-|[1.3.0] there\n"
