"""The protocol of a loader, which a service writes for its own kind of model, and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from modelhost.registry.base import Entry


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and how a version runs: device (`cpu`, `cuda:0`), threads of one call, requests in one batch."""

    device: str = "cpu"
    threads: int = 1
    batch_size: int = 16


@dataclass(frozen=True, slots=True)
class Loaded:
    """A version in memory. `bytes`: what it holds there, mapped files included; `close` frees it, at most once.

    `fallback`: a stand-in from installed code, for when no version can serve; answers made with it must say so.
    """

    entry: Entry
    model: Any
    bytes: int
    placement: Placement = field(default_factory=Placement)
    close: Callable[[], None] = lambda: None
    fallback: bool = False

    @property
    def component(self) -> str:
        """The component's name."""
        return self.entry.component

    @property
    def version(self) -> str:
        """The version, canonical (`1.2.0`)."""
        return self.entry.version


class Loader(Protocol):
    """Loads one kind of version. Runs beside live traffic: it must not touch what is loaded already.

    One that takes long calls `modelhost.loading.wanted.demand_wanted` between two steps, so that a load which was given
    up ends there, and its room is free.
    """

    def estimate(self, entry: Entry, placement: Placement) -> int:
        """Bytes that `load` will need, asked before it is called."""

    def load(self, entry: Entry, placement: Placement) -> Loaded:
        """Read the files of the entry into memory; any exception is a failed load."""

    def warm_up(self, loaded: Loaded) -> None:
        """Use it as a request would, until it is fast; any exception is a failed load."""
