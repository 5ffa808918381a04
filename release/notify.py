"""Notifications through apprise: chat, mail, web hooks. One that fails is told to the caller and fails nothing."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import unquote, urlsplit

# All addresses together take at most this long, whatever the other sides do.
SEND_SECONDS = 10.0
_LONGEST_BODY = 1500
_SHORTEST_SECRET = 4
_logger = logging.getLogger("apprise")
_logger.addHandler(logging.NullHandler())  # else Python prints apprise's warnings on stderr, in the middle of ours


class Occasion(StrEnum):
    DEPLOYED = "deployed"
    REFUSED = "refused"
    ROLLED_BACK = "rolled back"
    TRIPPED = "taken back by the guard"
    HELD = "over its budget, and left in place"
    SUPERSEDED = "superseded"
    FAILED = "failed"


_KINDS = {
    Occasion.DEPLOYED: "success",
    Occasion.ROLLED_BACK: "warning",
    Occasion.SUPERSEDED: "warning",
}


@dataclass(frozen=True)
class Event:
    """Something people want to hear of. `scope` is the service (and environment), `live` what serves now."""

    occasion: Occasion
    scope: str
    release: str
    reason: str = ""
    live: str | None = None
    actor: str = ""
    host: str = ""
    deployment: str = ""

    @property
    def title(self) -> str:
        return f"{self.scope}: {self.release} {self.occasion}"

    @property
    def body(self) -> str:
        """Short plain text; never empty."""
        by = " ".join(f"{word} {value}" for word, value in (("by", self.actor), ("on", self.host)) if value)
        lines = [
            self.reason,
            f"Live now: {self.live}" if self.live else "",
            f"Deployment {self.deployment} {by}".strip() if self.deployment else by,
        ]
        text = "\n".join(line for line in lines if line) or self.title
        return text if len(text) <= _LONGEST_BODY else text[:_LONGEST_BODY] + " …"


class Notifier:
    """Sends events to apprise URLs, all at once. The URLs hold secrets: they are shown nowhere."""

    def __init__(self, urls: Sequence[str], timeout: float = SEND_SECONDS) -> None:
        self._urls = tuple(url for url in urls if url.strip())
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"Notifier({[hidden(url) for url in self._urls]})"

    def send(self, event: Event) -> list[str]:
        """Returns what failed, one sentence an address, without secrets. Never raises; ends within the timeout."""
        letters = [_Letter(url, event) for url in self._urls]
        for letter in letters:
            letter.start()
        deadline = time.monotonic() + self._timeout
        failures = []
        for letter in letters:
            letter.join(max(0.0, deadline - time.monotonic()))
            problem = f"no answer within {self._timeout:g} s" if letter.is_alive() else letter.problem
            if problem is not None:
                failures.append(f"notification to {hidden(letter.url)}: {scrubbed(problem, letter.url)}")
        return failures


def malformed(urls: Sequence[str]) -> list[tuple[int, str]]:
    """Position and complaint of each address that apprise cannot take, without its secrets. Nothing is sent.

    Importing apprise takes longer than a rollback: for commands that have the time.
    """
    import apprise

    write = "write one such as slack://TOKEN/#channel, mailto://USER:PASSWORD@HOST or json://HOST/PATH"
    return [
        (index, f"({hidden(url)}) is no address that apprise knows; {write}")
        for index, url in enumerate(urls)
        if url.strip() and apprise.Apprise.instantiate(url) is None
    ]


class _Letter(threading.Thread):
    """One event to one address. A daemon: a peer that never answers does not keep the command from ending."""

    def __init__(self, url: str, event: Event) -> None:
        super().__init__(name="notification", daemon=True)
        self.url = url
        self.event = event
        self.problem: str | None = None

    def run(self) -> None:
        heard = _Heard()
        _logger.addHandler(heard)
        try:
            if not self._deliver():
                self.problem = heard.last or "not accepted"
        except Exception as error:  # a plugin of apprise may raise anything; none of it may end a deployment
            self.problem = f"{error.__class__.__name__}: {error}"
        finally:
            _logger.removeHandler(heard)

    def _deliver(self) -> bool:
        import apprise

        asset = apprise.AppriseAsset(app_id="release", app_desc="release automation")
        service: Any = apprise.Apprise.instantiate(self.url, asset=asset)
        if service is None:
            raise ValueError("not an address that apprise knows")
        return bool(
            service.notify(
                body=self.event.body,
                title=self.event.title,
                notify_type=apprise.NotifyType(_KINDS.get(self.event.occasion, "failure")),
                body_format=apprise.NotifyFormat.TEXT,
            )
        )


class _Heard(logging.Handler):
    """Keeps the last warning of the thread that made it: apprise tells its reasons to the log only."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._thread = threading.get_ident()
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.last = record.getMessage()


def hidden(url: str) -> str:
    """An address as it may be shown: the host of a plain web hook, else its scheme alone (the rest may be a token)."""
    scheme = url.partition("://")[0] if "://" in url else ""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{0,30}", scheme):
        return "an address without a scheme"
    if scheme.lower() not in ("json", "jsons", "xml", "xmls", "form", "forms"):
        return f"{scheme}://…"
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return f"{scheme}://…"
    return f"{scheme}://{parts.hostname or ''}{port}/…"


def scrubbed(text: str, url: str) -> str:
    """`text` without any part of the URL that may be a secret, as it stands or decoded: all but its scheme and what
    `hidden` shows."""
    shown = hidden(url)
    parts = set(re.split(r"[:/@?&=#]+", url))
    for part in sorted(parts | {unquote(part) for part in parts}, key=len, reverse=True):
        if len(part) >= _SHORTEST_SECRET and part not in shown:
            text = text.replace(part, "****")
    return text
