"""Every log line says which version and variant it speaks of: `[1.3.0] [AB:treatment] …`.

A record is marked when it is made, so that it does not matter which handlers there are: the server's, those of the
root logger, none at all. The text goes before the message; formats and JSON find `modelhost_version` and
`modelhost_variant` on each record, "-" outside a request.

The context follows tasks and `asyncio.to_thread`; a thread pool of one's own runs its work in
`contextvars.copy_context()`. What a server writes after the handler has ended, its access line and an exception that
nobody caught, is of the request too where that runs inside `Marked`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

ACCESS = "uvicorn.access"  # its formatter reads the arguments and passes the message over
NOTHING = "-"
_Scope = MutableMapping[str, Any]
_App = Callable[[_Scope, Any, Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Served:
    """What answers the request at hand: its version, and the experiment's variant or nothing."""

    version: str
    variant: str = ""

    @property
    def prefix(self) -> str:
        """`[1.3.0] [AB:treatment] `, with the space behind it."""
        return f"[{self.version}] [{self.variant}] " if self.variant else f"[{self.version}] "


@dataclass(slots=True)
class _Asked:
    """A request of a server, and who answered it last. Its tasks and threads share it, so it outlives the handler."""

    served: Served | None = None


_served: ContextVar[Served | None] = ContextVar("modelhost_served", default=None)
_asked: ContextVar[_Asked | None] = ContextVar("modelhost_asked", default=None)


def served() -> Served | None:
    """What answers the request at hand, or answered it a moment ago; None outside of one."""
    now, asked = _served.get(), _asked.get()
    return now or (asked.served if asked is not None else None)


@contextmanager
def serving(version: str, variant: str = "") -> Iterator[Served]:
    """Within it, every log line carries this version and variant."""
    now = Served(version, variant)
    if (asked := _asked.get()) is not None:
        asked.served = now
    token = _served.set(now)
    try:
        yield now
    finally:
        _served.reset(token)


class Marked:
    """ASGI middleware, the outermost: what the server says of a request when that has ended is of the request still."""

    def __init__(self, app: _App) -> None:
        self.app = app

    async def __call__(self, scope: _Scope, receive: Any, send: Any) -> None:
        """Passes the request on. What it sets is not taken back: the server writes in the same task afterwards."""
        if scope["type"] != "lifespan":
            _asked.set(_Asked())
        await self.app(scope, receive, send)


# -- marking -------------------------------------------------------------------------------------------------------

_Factory = Callable[..., logging.LogRecord]


class _Marking:
    """Makes records with the factory that was there, and marks them as long as somebody wants it."""

    def __init__(self, inner: _Factory) -> None:
        self.inner = inner

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self.inner(*args, **kwargs)
        if _wanted and not hasattr(record, "modelhost_version"):
            _mark(record, served())
        return record


_wanted = 0
_lock = threading.Lock()


def mark() -> None:
    """From here on all log lines of this process carry version and variant, until `unmark` was called as often."""
    global _wanted
    with _lock:
        _wanted += 1
        if not isinstance(factory := logging.getLogRecordFactory(), _Marking):
            logging.setLogRecordFactory(_Marking(factory))


def unmark() -> None:
    """Takes one `mark` back; with the last the factory of records is the one that was there before.

    Where another has been put around ours meanwhile, that stays, and ours marks nothing.
    """
    global _wanted
    with _lock:
        _wanted = max(0, _wanted - 1)
        if not _wanted and isinstance(factory := logging.getLogRecordFactory(), _Marking):
            logging.setLogRecordFactory(factory.inner)


class Application(Protocol):
    """What Starlette and FastAPI call all of an application, its middleware included."""

    middleware_stack: Any


@contextmanager
def marking(app: Application) -> Iterator[None]:
    """For a lifespan: `mark`, with `Marked` around the whole application, middleware included; afterwards as before."""
    inner = app.middleware_stack
    app.middleware_stack = Marked(inner)
    mark()
    try:
        yield
    finally:
        unmark()
        app.middleware_stack = inner


def _mark(record: logging.LogRecord, now: Served | None) -> None:
    record.modelhost_version = now.version if now else NOTHING
    record.modelhost_variant = now.variant if now and now.variant else NOTHING
    if now is None or isinstance(record.msg, Mapping):  # an object for a format of JSON, which has the two fields
        return
    if record.name == ACCESS and isinstance(record.args, tuple) and record.args:
        record.args = (f"{now.prefix}{record.args[0]}", *record.args[1:])  # the message begins with it
        return
    prefix = now.prefix.replace("%", "%%") if record.args else now.prefix
    record.msg = f"{prefix}{record.msg}"
