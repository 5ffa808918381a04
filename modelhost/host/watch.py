"""What a host tells of itself while it works, to metrics or whoever else counts. A watcher that fails harms nobody."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from modelhost.config.reload import Reload
from modelhost.loading.base import Loaded, Loader, Placement
from modelhost.loading.bring import Check
from modelhost.loading.wanted import GivenUp
from modelhost.registry.base import Entry

T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answered:
    """One request that ended. `seconds` from its beginning to its end; `failed`: an exception left it.

    `used`: component → version of what it took out of its set.
    """

    component: str
    version: str
    variant: str
    seconds: float
    failed: bool
    fallback: bool
    used: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LoadFailure:
    """A version that could not be loaded: a check, the loader or the warm-up raised."""

    component: str
    version: str
    error: str


@dataclass(frozen=True, slots=True)
class Reloaded:
    """A reload that a signal asked for, and how it went."""

    who: str
    outcome: Reload


Watcher = Callable[[Answered | LoadFailure | Reloaded], object]


class Watchers:
    """Those who are told. Called in the thread in which it happened: they must be quick."""

    def __init__(self) -> None:
        self._watchers: tuple[Watcher, ...] = ()
        self._lock = threading.Lock()

    def add(self, watcher: Watcher) -> Callable[[], None]:
        """Tells `watcher` from now on; returns what ends that."""
        with self._lock:
            self._watchers = (*self._watchers, watcher)

        def remove() -> None:
            with self._lock:
                self._watchers = tuple(each for each in self._watchers if each is not watcher)

        return remove

    def tell(self, what: Answered | LoadFailure | Reloaded) -> None:
        """Never raises."""
        for watcher in self._watchers:
            try:
                watcher(what)
            except Exception:
                _log.exception("a watcher failed to hear of %s", what)


class Signalled:
    """Reloads on a signal are told: nobody is there who would hear an answer."""

    def __init__(self, reload: Callable[[str], Reload], watchers: Watchers) -> None:
        self._reload = reload
        self._watchers = watchers

    def reload(self, who: str) -> Reload:
        """Never raises."""
        outcome = self._reload(who)
        self._watchers.tell(Reloaded(who, outcome))
        return outcome


class WatchedLoader:
    """A loader whose failures are told."""

    def __init__(self, loader: Loader, watchers: Watchers) -> None:
        self._loader = loader
        self._watchers = watchers

    def estimate(self, entry: Entry, placement: Placement) -> int:
        """Bytes that `load` will need."""
        return _told(self._watchers, entry, lambda: self._loader.estimate(entry, placement))

    def load(self, entry: Entry, placement: Placement) -> Loaded:
        """The version in memory."""
        return _told(self._watchers, entry, lambda: self._loader.load(entry, placement))

    def warm_up(self, loaded: Loaded) -> None:
        """Uses it once."""
        _told(self._watchers, loaded.entry, lambda: self._loader.warm_up(loaded))


def watched(
    loaders: Mapping[str, Loader], checks: Sequence[Check], watchers: Watchers
) -> tuple[dict[str, Loader], tuple[Check, ...]]:
    """The same loaders and checks, whose failures are told."""

    def check(inner: Check) -> Check:
        return lambda entry: _told(watchers, entry, lambda: inner(entry))

    kept: dict[str, Loader] = {name: WatchedLoader(loader, watchers) for name, loader in loaders.items()}
    return kept, tuple(check(inner) for inner in checks)


def _told(watchers: Watchers, entry: Entry, work: Callable[[], T]) -> T:
    try:
        return work()
    except GivenUp:
        raise
    except Exception as error:
        watchers.tell(LoadFailure(entry.component, entry.version, f"{type(error).__name__}: {error}"))
        raise
