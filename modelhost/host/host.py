"""A model host: open it on one YAML file, ask it for models per request, switch versions while it serves."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from modelhost.config.hangup import reload_on_hangup
from modelhost.config.model import Settings
from modelhost.config.reload import Configuration, Prepare, Reload
from modelhost.errors import ConfigError
from modelhost.host import reloading, upkeep
from modelhost.host.absent import Absences
from modelhost.host.assembly import ForLoading, budget_of, checks_in, fallbacks_of, placement_in, registry_of
from modelhost.host.cache import TIDY_SECONDS, Cache
from modelhost.host.grants import Grant, Granter
from modelhost.host.notes import Notes
from modelhost.host.ownprocess import OwnProcess
from modelhost.host.rejected import Rejections
from modelhost.host.request import Request
from modelhost.host.shelf import Shelf
from modelhost.host.switches import Switches
from modelhost.host.watch import Answered, Signalled, Watcher, Watchers, watched
from modelhost.host.wiring import Wiring
from modelhost.loading.base import Loaded, Loader
from modelhost.loading.lease import Key
from modelhost.loading.pool import Pool
from modelhost.registry.base import LATEST, Registry
from modelhost.routing.request import RequestFacts
from modelhost.serving.history import History, Record
from modelhost.serving.serving import Serving

NO_FACTS = RequestFacts()
HISTORY_FILE = "history.jsonl"
UPKEEP_SECONDS = 5.0


class ModelHost:
    """Everything that a service needs to serve versions of its models. `open` makes one; `close` frees all.

    `promote`, `rollback`, `load` and `unload` are those of Switches. `registry`, `pool`, `serving`, `configuration` and
    `shelf` are open to whoever needs more than is here; `workers`: processes among which the memory is divided;
    `process`: the one that opened it, in which alone it serves. A fork of that is refused requests, loads and switches.
    """

    def __init__(
        self,
        configuration: Configuration,
        registry: Registry,
        loaders: Mapping[str, Loader],
        *,
        state: Path,
        workers: int | None = None,
        fallbacks: Iterable[Loaded] = (),
        keep_previous: bool | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        def current() -> Settings:
            return self.configuration.current

        self.process = OwnProcess()
        self.configuration = configuration
        self.registry = registry
        self.workers = configuration.current.memory.workers if workers is None else workers
        self._wiring = Wiring.of(configuration.current, chance)
        self.watchers = Watchers()
        kept, checks = watched(loaders, checks_in(current), self.watchers)
        self.pool = Pool(
            ForLoading(registry, current),
            kept,
            budget_of(configuration.current, self.workers),
            placement=placement_in(current),
            checks=checks,
        )
        self.fallbacks = fallbacks_of(configuration.current, fallbacks)
        self.serving = Serving(
            registry,
            self.pool,
            History(state / HISTORY_FILE),
            fallbacks=self.fallbacks,
            keep_previous=configuration.current.memory.keep_previous if keep_previous is None else keep_previous,
        )
        self.shelf = Shelf(registry, self.pool, current)
        self.rejections = Rejections(registry, self.shelf, self.serving)
        self.absences = Absences(self.shelf, current)
        self.cache = Cache(registry, self.pool, self.serving, current, lambda: self._wiring.named())
        switches = Switches(registry, self.serving, current, self._look_around, self.process.demand)
        self.promote, self.rollback = switches.promote, switches.rollback
        self.whole, self.scope = switches.whole, switches.scope
        self.load, self.unload, self.restore = switches.load, switches.unload, switches.restore
        self.loadable, self.way_out = switches.loadable, switches.way_out
        self._granter = Granter(self.serving, self.shelf, lambda: self._wiring)
        self._notes = Notes(self.serving, configuration.current, configuration.path.resolve().parent)
        self._chance = chance
        self._pinned: set[Key] = set()
        self._looking = threading.Lock()
        self._upkeep: list[upkeep.Upkeep] = []
        self._closing: list[Callable[[], None]] = []
        self._closed = threading.Lock()
        configuration.follow("the host", reloading.refuse_what_needs_a_start)
        if keep_previous is None:
            configuration.follow("the way back", self._rekeep)
        configuration.follow("routing", self._rewire)
        configuration.follow("notes", self._notes.prepare)

    @classmethod
    def open(
        cls,
        configuration: Path | str,
        loaders: Mapping[str, Loader],
        *,
        environ: Mapping[str, str] | None = None,
        state: Path | str | None = None,
        workers: int | None = None,
        fallbacks: Iterable[Loaded] = (),
        keep_previous: bool | None = None,
        hangup: bool = True,
        start: bool = True,
        upkeep_seconds: float = UPKEEP_SECONDS,
    ) -> ModelHost:
        """A host that serves when this returns. `loaders`: the name in version.json → what loads such a version.

        `state`: folder of the history, by default `state` beside the configuration. `workers`, processes that share
        this machine's memory, and `keep_previous` are what the configuration says, where they are not given here.
        `hangup`: SIGHUP reloads the configuration, where this is the main thread.
        `start` False: somebody else says what serves, such as a cluster. Raises ConfigError, and what refused the first
        set where nothing could be found to serve.
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
                host._closing.append(reload_on_hangup(Signalled(host.reload, host.watchers)))
        except BaseException:
            host.close(0.0)
            raise
        return host

    # -- beginning and end -----------------------------------------------------------------------------------------

    def start(self, wanted: Mapping[str, str] | None = None) -> Record:
        """Loads the first set: `wanted`, or what the configuration and the history say.

        A version that the configuration names holds at every start; with `latest`, what served last serves again.
        Raises ConfigError in a member of a cluster, Unavailable in a fork of the process that opened it.
        """
        self.process.demand()
        if self.settings.cluster is not None:
            raise ConfigError(
                "the configuration makes this host a member of a cluster, which says what serves",
                "open it by ModelHttp.open, or with start=False and a Membership",
            )
        record = self.serving.start(self.wanted() if wanted is None else wanted)
        self.configuration.follow("serving", self._redefault)
        self._look_around()
        self._bring()
        return record

    def wanted(self) -> dict[str, str]:
        """What the configuration and the history say that should serve first: component → version, or `latest`."""
        served, components = self.serving.wanted(), self.settings.components
        return {n: served.get(n, LATEST) if c.default == LATEST else c.default for n, c in components.items()}

    def keep_up(self, seconds: float) -> None:
        """Begins with what is done every so many seconds: idle versions leave, the registry is looked at."""
        looking = upkeep.Upkeep(self._look_around, seconds)
        self._upkeep.append(looking)
        if self.cache.is_one:
            self._upkeep.append(upkeep.Upkeep(self.cache.tidy, TIDY_SECONDS))
        self.serving.subscribe(looking.soon)
        self.serving.subscribe(lambda event: self._bring())

    def close(self, timeout: float = 30.0) -> list[Key]:
        """Serves no new request, waits for the old ones, frees all. Returns what was in use at the end; repeatable. In
        a fork of the process that opened it this does nothing."""
        if not self.process.is_here or not self._closed.acquire(blocking=False):
            return []
        for end in self._closing:
            with suppress(ValueError):  # a signal handler is put back by the main thread alone
                end()
        for each in self._upkeep:
            each.close()
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
        self.process.demand()
        return self._granter.grant(facts, about, wait)

    async def grant_async(self, facts: RequestFacts, about: str | None, wait: float | None) -> Grant:
        """`grant` for an event loop, which it never blocks."""
        self.process.demand()
        return await self._granter.grant_async(facts, about, wait)

    @property
    def unrecorded(self) -> int:
        """How many requests the record that the configuration names lacks: its queue was full, or the disk."""
        return self._notes.dropped

    def ended(self, request: Request, answered: Answered) -> None:
        """Counts and records a request that ended."""
        self.watchers.tell(answered)
        self._notes.record(request, answered)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Tells `watcher` of requests that end, loads that fail, reloads by a signal; returns what ends that."""
        return self.watchers.add(watcher)

    # -- configuration ---------------------------------------------------------------------------------------------

    def reload(self, who: str = "", why: str = "", also: Sequence[tuple[str, Prepare]] = ()) -> Reload:
        """Reads the configuration again: it takes over as a whole or not at all. Never raises. `who` asks for it, and
        `why`, are for the log; `also`: who is asked too, by name, before anything is taken over."""
        outcome = self.configuration.reload(who, why, also)
        if not outcome.ok:
            return outcome
        if self.absences.warnings():  # what was published a moment ago is no reason for one
            self.shelf.refresh()
        self.absences.look()
        return replace(outcome, warnings=self.absences.warnings())

    @property
    def settings(self) -> Settings:
        """The configuration that runs."""
        return self.configuration.current

    def _rewire(self, new: Settings, old: Settings) -> reloading.Flip:
        before, after = self._wiring, Wiring.of(new, self._chance)

        def make() -> None:
            self._wiring = after
            self._bring()

        def set_back() -> None:
            self._wiring = before

        return reloading.Flip(make, set_back)

    def _rekeep(self, new: Settings, old: Settings) -> reloading.Flip:
        keep = self.serving.live.keep_previous
        return reloading.Flip(lambda: keep(new.memory.keep_previous), lambda: keep(old.memory.keep_previous))

    def _redefault(self, new: Settings, old: Settings) -> reloading.Defaults:
        return reloading.Defaults(self.serving, reloading.new_defaults(new, old)).prepare()

    def _bring(self) -> None:
        """Begins to load what rules and experiments name, as far as the registry has it and nobody rejected it."""
        upkeep.bring(self.pool, {name: self.shelf.known(name, each) for name, each in self._wiring.named().items()})

    def _look_around(self) -> None:
        """After each switch and now and then: idle versions leave, pins follow what serves, the registry is read."""
        upkeep.sweep(self.pool, self.settings)
        with self._looking:
            self._pinned = upkeep.pin(self.serving, self.settings, self._pinned)
        self.shelf.refresh()
        self.rejections.look()
        self.absences.look()
