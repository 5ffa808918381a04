"""A model host: open it on one YAML file, ask it for models per request, switch versions while it serves."""

from __future__ import annotations

import logging
import os
import random
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from modelhost.config.hangup import reload_on_hangup
from modelhost.config.model import Settings
from modelhost.config.reload import Configuration, Reload
from modelhost.errors import ModelHostError
from modelhost.host import reloading, upkeep
from modelhost.host.assembly import ForLoading, budget_of, checks_in, fallbacks_of, placement_in, registry_of
from modelhost.host.grants import Grant, Granter
from modelhost.host.notes import Notes
from modelhost.host.request import Request
from modelhost.host.shelf import Shelf
from modelhost.host.watch import Answered, Watcher, Watchers, watched
from modelhost.host.wiring import Wiring
from modelhost.loading.base import Loaded, Loader
from modelhost.loading.lease import Key
from modelhost.loading.pool import Pool
from modelhost.registry.base import LATEST, Registry, Status
from modelhost.routing.request import RequestFacts
from modelhost.serving.history import History, Record
from modelhost.serving.serving import Serving

_log = logging.getLogger(__name__)
NO_FACTS = RequestFacts()
HISTORY_FILE = "history.jsonl"
UPKEEP_SECONDS = 5.0


class ModelHost:
    """Everything that a service needs to serve versions of its models. `open` makes one; `close` frees all.

    `registry`, `pool`, `serving`, `configuration` and `shelf` are open to whoever needs more than is here.
    """

    def __init__(
        self,
        configuration: Configuration,
        registry: Registry,
        loaders: Mapping[str, Loader],
        *,
        state: Path,
        workers: int = 1,
        fallbacks: Iterable[Loaded] = (),
        keep_previous: bool = True,
        chance: Callable[[], float] = random.random,
    ) -> None:
        def current() -> Settings:
            return self.configuration.current

        self.configuration = configuration
        self.registry = registry
        self._wiring = Wiring.of(configuration.current, chance)
        self.watchers = Watchers()
        kept, checks = watched(loaders, checks_in(current), self.watchers)
        self.pool = Pool(
            ForLoading(registry, current),
            kept,
            budget_of(configuration.current, workers),
            placement=placement_in(current),
            checks=checks,
        )
        self.serving = Serving(
            registry,
            self.pool,
            History(state / HISTORY_FILE),
            fallbacks=fallbacks_of(configuration.current, fallbacks),
            keep_previous=keep_previous,
        )
        self.shelf = Shelf(registry, self.pool, current)
        self._granter = Granter(self.serving, self.shelf, lambda: self._wiring)
        self._notes = Notes(self.serving, configuration.current)
        self._chance = chance
        self._pinned: set[Key] = set()
        self._upkeep: upkeep.Upkeep | None = None
        self._closing: list[Callable[[], None]] = []
        self._closed = threading.Lock()
        configuration.follow("the host", reloading.refuse_what_needs_a_start)
        configuration.follow("routing", self._rewire)
        configuration.follow("notes", self._notes.prepare)
        configuration.follow("serving", self._redefault)

    @classmethod
    def open(
        cls,
        configuration: Path | str,
        loaders: Mapping[str, Loader],
        *,
        environ: Mapping[str, str] | None = None,
        state: Path | str | None = None,
        workers: int = 1,
        fallbacks: Iterable[Loaded] = (),
        keep_previous: bool = True,
        hangup: bool = True,
        start: bool = True,
        upkeep_seconds: float = UPKEEP_SECONDS,
    ) -> ModelHost:
        """A host that serves when this returns. `loaders`: the name in version.json → what loads such a version.

        `state`: folder of the history, by default `state` beside the configuration. `workers`: processes that share
        this machine's memory. `hangup`: SIGHUP reloads the configuration, where this is the main thread.
        `start` False leaves `host.start()` to the caller, who may have a say in what serves. Raises ConfigError, and
        what refused the first set where nothing could be found to serve.
        """
        path = Path(configuration)
        held = Configuration(path, os.environ if environ is None else environ)
        folder = path.resolve().parent / "state" if state is None else Path(state)
        host = cls(
            held,
            registry_of(held.current),
            loaders,
            state=folder,
            workers=workers,
            fallbacks=fallbacks,
            keep_previous=keep_previous,
        )
        try:
            if start:
                host.start()
            host.keep_up(upkeep_seconds)
            if hangup and threading.current_thread() is threading.main_thread():
                host._closing.append(reload_on_hangup(held))
        except BaseException:
            host.close(0.0)
            raise
        return host

    # -- beginning and end -----------------------------------------------------------------------------------------

    def start(self, wanted: Mapping[str, str] | None = None) -> Record:
        """Loads the first set: `wanted`, or what the configuration and the history say.

        A version that the configuration names holds at every start; with `latest`, what served last serves again.
        """
        if wanted is None:
            served = self.serving.wanted()
            components = self.settings.components
            wanted = {n: served.get(n, LATEST) if c.default == LATEST else c.default for n, c in components.items()}
        record = self.serving.start(wanted)
        self._look_around()
        upkeep.bring(self.pool, self._wiring.named())
        return record

    def keep_up(self, seconds: float) -> None:
        """Begins with what is done every so many seconds: idle versions leave, the registry is looked at."""
        self._upkeep = upkeep.Upkeep(self._look_around, seconds)
        self.serving.subscribe(self._upkeep.soon)

    def close(self, timeout: float = 30.0) -> list[Key]:
        """Serves no new request, waits for the old ones, frees all. Returns what was in use at the end; repeatable."""
        if not self._closed.acquire(blocking=False):
            return []
        for end in self._closing:
            with suppress(ValueError):  # a signal handler is put back by the main thread alone
                end()
        if self._upkeep is not None:
            self._upkeep.close()
        still = self.serving.close(timeout)
        self._notes.close()
        return still

    def __enter__(self) -> ModelHost:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- requests --------------------------------------------------------------------------------------------------

    def request(self, facts: RequestFacts = NO_FACTS, about: str | None = None, wait: float | None = 0.0) -> Request:
        """The versions for one request: `with host.request(facts) as models`, or `async with`.

        `about`: the component or set that a named version, a rule or an experiment is about; the only one by default.
        `wait`: seconds for a version that has to be loaded first, None for as long as it takes; then Loading.
        """
        return Request(self, facts, about, wait)

    def grant(self, facts: RequestFacts, about: str | None, wait: float | None) -> Grant:
        """The lease behind `request`; to be released."""
        return self._granter.grant(facts, about, wait)

    async def grant_async(self, facts: RequestFacts, about: str | None, wait: float | None) -> Grant:
        """`grant` for an event loop, which it never blocks."""
        return await self._granter.grant_async(facts, about, wait)

    def ended(self, request: Request, answered: Answered) -> None:
        """Counts and records a request that ended."""
        self.watchers.tell(answered)
        self._notes.record(request, answered)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Tells `watcher` of every request that ends and every load that fails; returns what ends that."""
        return self.watchers.add(watcher)

    # -- switches --------------------------------------------------------------------------------------------------

    def promote(self, versions: Mapping[str, str], *, who: str, why: str, generation: int | None = None) -> Record:
        """Lets these serve as one set (component → version or `latest`), and marks them stable. Raises as a swap."""
        record = self.serving.swap(versions, who=who, why=why, generation=generation)
        self.mark_stable({name: record.after[name] for name in versions}, who=who, why=why)
        self._look_around()
        return record

    def mark_stable(self, versions: Mapping[str, str], *, who: str, why: str) -> None:
        """Marks those stable that are not. A registry out of reach is logged: what serves goes on serving."""
        for name, version in versions.items():
            try:
                if self.registry.find(name, version).status is not Status.STABLE:
                    self.registry.mark(name, version, Status.STABLE, who, why)
            except ModelHostError:
                _log.exception("%s %s serves, and could not be marked stable", name, version)

    def rollback(
        self,
        component: str | None = None,
        to_version: str | None = None,
        *,
        who: str,
        reason: str,
        together: bool = False,
    ) -> Record:
        """To what served before and is stable; see `Roller.rollback`. The name of a set takes its components back."""
        members = self.settings.sets.get(component or "")
        if members is not None:
            component, together = (None, False) if set(members) == set(self.serving.current()) else (members[0], True)
        record = self.serving.rollback(component, to_version, who=who, reason=reason, together=together)
        self._look_around()
        return record

    def load(self, component: str, version: str = LATEST, wait: float | None = None) -> str:
        """Brings a version into memory, where anybody may then ask for it by name; returns which one that is."""
        number = self.registry.find(component, version).version
        self.pool.lease(component, number, wait).release()
        self.shelf.refresh()
        return number

    def unload(self, component: str, version: str) -> bool:
        """Takes one out of memory; False when it leaves with its last request. Raises Conflict for one that serves."""
        return self.pool.unload(component, version)

    def reload(self) -> Reload:
        """Reads the configuration again: it takes over as a whole or not at all. Never raises."""
        return self.configuration.reload()

    @property
    def settings(self) -> Settings:
        """The configuration that runs."""
        return self.configuration.current

    # -- what follows the configuration ----------------------------------------------------------------------------

    def _rewire(self, new: Settings, old: Settings) -> reloading.Flip:
        before, after = self._wiring, Wiring.of(new, self._chance)

        def make() -> None:
            self._wiring = after
            upkeep.bring(self.pool, after.named())

        def set_back() -> None:
            self._wiring = before

        return reloading.Flip(make, set_back)

    def _redefault(self, new: Settings, old: Settings) -> reloading.Defaults:
        return reloading.Defaults(self.serving, reloading.new_defaults(new, old)).prepare()

    def _look_around(self) -> None:
        upkeep.sweep(self.pool, self.settings)
        self._pinned = upkeep.pin(self.serving, self.settings, self._pinned)
        self.shelf.refresh()
