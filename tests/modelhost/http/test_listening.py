"""Who waits at the same port, where the system does not say it."""

from __future__ import annotations

import logging
import multiprocessing
import os

import pytest

from modelhost.http.listening import answers_here

NOBODY = 65534
ROOTS = "1"  # a process of root, into which no other user may look


def test_a_process_whose_sockets_may_not_be_seen_is_said_once_and_not_counted() -> None:
    child = multiprocessing.get_context("fork").Process(target=_ask_as_nobody)
    child.start()
    child.join(60)
    assert child.exitcode == 0


def test_a_process_that_is_gone_is_not_here_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    child = multiprocessing.get_context("fork").Process(target=os.getpid)
    child.start()
    child.join(60)
    assert not answers_here(str(child.pid))
    assert not caplog.records


def _ask_as_nobody() -> None:
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage().split(":")[0])  # type: ignore[method-assign]
    logging.getLogger("modelhost").addHandler(handler)
    if os.getuid() == 0:
        os.setuid(NOBODY)
    assert [answers_here(ROOTS) for _ in range(3)] == [False] * 3
    assert said == [f"whether process {ROOTS} answers at the port of this one is not known"]
