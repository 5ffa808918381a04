"""Addresses of people and channels as apprise writes them, which hold secrets: none of them is ever logged or shown."""

from __future__ import annotations

import logging
import re
from typing import Any
from urllib.parse import unquote

_SHORTEST_SECRET = 4


def known(address: str) -> bool:
    """Whether apprise can send to such an address."""
    return _sender(address) is not None


def send(address: str, title: str, body: str, kind: str) -> str:
    """Sends to one address; why that did not work, in apprise's words as far as they hold no part of the address, or
    nothing. `kind`: info, warning or failure."""
    import apprise

    sender = _sender(address)
    if sender is None:
        return "apprise does not know such an address"
    capture: Any = apprise.LogCapture
    with capture(level=logging.WARNING, fmt="%(message)s") as said:
        if sender.notify(title=title, body=body, notify_type=apprise.NotifyType(kind)):
            return ""
        words = str(said.getvalue()).strip().splitlines()
    return _without_parts(words[-1], address) if words else "apprise does not say why"


def kind_of(address: str) -> str:
    """`mailtos`, `slack`, `json`: the part of it that is no secret."""
    scheme = address.partition("://")[0]
    return scheme if re.fullmatch(r"[A-Za-z0-9+.-]{1,40}", scheme) and "://" in address else "no URL"


def _sender(address: str) -> Any:
    """None for an address that apprise does not know. What it logs of one shows too much of it."""
    import apprise

    def silent(record: logging.LogRecord) -> bool:
        return False

    log, sender = logging.getLogger("apprise"), apprise.Apprise()
    log.addFilter(silent)
    try:
        return sender if sender.add(address) else None
    finally:
        log.removeFilter(silent)


def _without_parts(text: str, address: str) -> str:
    """`address` as it is written, and with its `%40` as the signs that apprise makes of them."""
    secret = address.partition("://")[2]
    written = [part for each in (secret, unquote(secret)) for part in re.split(r"[^A-Za-z0-9_.-]+", each)]
    signs = [unquote(part) for part in re.split(r"[/:@?&=]+", secret)]
    for part in sorted({*written, *signs}, key=len, reverse=True):
        if len(part) >= _SHORTEST_SECRET:
            text = text.replace(part, "…")
    return text
