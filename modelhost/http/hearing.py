"""What is said on a socket between two processes of a service: a line, and what several answer until a moment."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from typing import Any

_LONGEST_LINE = 1 << 16


def read_line(asker: socket.socket) -> str:
    """One line, without its end; nothing where the other has left. Raises OSError, TimeoutError."""
    content = b""
    while not content.endswith(b"\n"):
        part = asker.recv(1)  # no byte of what comes after it
        if not part or len(content) > _LONGEST_LINE:
            return ""
        content += part
    return content[:-1].decode("utf-8", "replace")


def heard(talks: Mapping[str, socket.socket | None], seconds: float) -> dict[str, bytes]:
    """Who → what was said until the other closed; empty for one that did not in time, broke off, or is None. All are
    heard at once: one that is silent takes nobody else's time. Closes them all."""
    deadline = time.monotonic() + seconds
    parts = {name: bytearray() for name in talks}
    found = dict.fromkeys(talks, b"")
    with selectors.DefaultSelector() as waiting, ExitStack() as ends:
        for name, talk in talks.items():
            if talk is not None:
                waiting.register(ends.enter_context(closing(talk)), selectors.EVENT_READ, name)
        while waiting.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in waiting.select(left):
                part = _part(key.fileobj)
                if part:
                    parts[key.data] += part
                    continue
                waiting.unregister(key.fileobj)
                if part is not None:
                    found[key.data] = bytes(parts[key.data])
    return found


def _part(talk: Any) -> bytes | None:
    """What has come; nothing at its end, and None where the other broke off."""
    try:
        return bytes(talk.recv(1 << 16))
    except OSError:
        return None
