"""Every log line says which version and variant it speaks of: `[1.3.0] [AB:treatment] …`.

The filter belongs on handlers (`mark(*handlers)`): a logger's own filters do not see what its children log. The context
follows tasks and `asyncio.to_thread`; a thread pool of one's own runs its work in `contextvars.copy_context()`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Served:
    """What answers the request at hand: its version, and the experiment's variant or nothing."""

    version: str
    variant: str = ""

    @property
    def prefix(self) -> str:
        """`[1.3.0] [AB:treatment] `, with the space behind it."""
        return f"[{self.version}] [{self.variant}] " if self.variant else f"[{self.version}] "


_served: ContextVar[Served | None] = ContextVar("modelhost_served", default=None)


def served() -> Served | None:
    """What answers the request at hand; None outside of one."""
    return _served.get()


@contextmanager
def serving(version: str, variant: str = "") -> Iterator[Served]:
    """Within it, every marked log line carries this version and variant."""
    token = _served.set(Served(version, variant))
    try:
        yield Served(version, variant)
    finally:
        _served.reset(token)


class VariantFilter(logging.Filter):
    """Puts the prefix before the message and sets `model_version` and `variant` on the record, for formats of JSON.

    Outside a request both are "-" and the message is left alone. Several handlers may carry it: it marks a record once.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true: nothing is held back."""
        if hasattr(record, "model_version"):
            return True
        now = _served.get()
        record.model_version = now.version if now else "-"
        record.variant = now.variant if now and now.variant else "-"
        if now is not None:
            prefix = now.prefix.replace("%", "%%") if record.args else now.prefix
            record.msg = f"{prefix}{record.msg}"
        return True


def mark(*handlers: logging.Handler) -> None:
    """Let every line that these handlers write carry version and variant; without any, those of the root logger."""
    for handler in handlers or tuple(logging.getLogger().handlers):
        if not any(isinstance(one, VariantFilter) for one in handler.filters):
            handler.addFilter(VariantFilter())
