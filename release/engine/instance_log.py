"""The log of a process, read as lines: what was rotated away first, and what still comes. The supervisor writes it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Any

from release.engine.instance_files import InstanceFolder


def lines(folder: InstanceFolder, tail: int | None, follow: bool) -> Iterator[str]:
    """Decoded with replacement, without line ends; the `tail` last ones first, all where it is None."""
    before = [folder.path / f"log.{number}" for number in range(folder.spec["log_max_files"], 0, -1)]
    known = [line for path in before if path.exists() for line in _decoded(path.read_bytes())]
    with contextlib.suppress(FileNotFoundError), (folder.path / "log").open("rb") as log:
        start = log.read()
        whole = start.rfind(b"\n") + 1 if follow else len(start)
        known += _decoded(start[:whole])
        yield from known if tail is None else known[max(0, len(known) - tail) :]
        if follow:
            yield from _followed(log, start[whole:], folder)


def _followed(log: Any, rest: bytes, folder: InstanceFolder) -> Iterator[str]:
    """Lines as they come, until the service is gone; a log that was emptied is read from its start again."""
    while folder.process() is not None or folder.supervisor() is not None:
        if os.fstat(log.fileno()).st_size < log.tell():
            log.seek(0)
        *whole, rest = (rest + log.read()).split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in whole)
        time.sleep(0.1)
    yield from _decoded(rest + log.read())


def _decoded(data: bytes) -> list[str]:
    text = data.decode("utf-8", "replace")
    return [line.rstrip("\r") for line in text.removesuffix("\n").split("\n")] if text else []
