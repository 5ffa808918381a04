"""A child process is held before a signal can be raised."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from types import FrameType
from typing import Any

import psutil
import pytest

from release.children import child

ROUNDS = 60


class Stopped(Exception):
    """What a handler raises."""


def stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def test_no_child_is_left_whenever_a_signal_comes() -> None:
    before, chance = signal.signal(signal.SIGTERM, stop), random.Random(7)
    raised = 0
    try:
        for _ in range(ROUNDS):
            shot = threading.Timer(chance.uniform(0, 0.006), os.kill, (os.getpid(), signal.SIGTERM))
            try:
                shot.start()
                with child(["sleep", "1000"], end):
                    time.sleep(5)
            except Stopped:
                raised += 1
            finally:
                shot.join()
            left = [each for each in psutil.Process().children() if each.status() != psutil.STATUS_ZOMBIE]
            assert not any("1000" in each.cmdline() for each in left)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert raised == ROUNDS


def test_a_signal_that_nobody_handles_and_one_that_is_ignored_keep_their_meaning() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        os.kill(os.getpid(), signal.SIGHUP)
        with child(["true"], end):
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_cannot_be_started_is_said_and_nothing_is_ended() -> None:
    ended: list[Any] = []
    with pytest.raises(OSError, match="no-such-program"), child(["no-such-program"], ended.append):
        pass
    assert ended == []
