"""The one place that names concrete parts: from a tag or a state directory to the hands that operations use."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from release.config.reach import Reach
from release.config.state import State, default_root, find, holds_nothing, known_scopes
from release.errors import LedgerError, Locked, ManifestError, ReleaseError, UsageError
from release.ledger.locks import DeploymentLock, RollbackLock, TrafficLock
from release.ledger.records import Kind
from release.ledger.store import Ledger, utc_now
from release.pipeline.events import Report, Said
from release.pipeline.interruption import Interruption
from release.rollout import identity
from release.rollout.hands import Hands, Plan, Whole

if TYPE_CHECKING:
    from release.config.load import Loaded
    from release.config.model import Manifest, Models
    from release.engine.base import Engine
    from release.image.build import Obtained, Sources
    from release.image.store import ImageStore, Progress, RegistryClient
    from release.models.base import Board
    from release.models.registry import ModelRegistry
    from release.models.service import ModelService
    from release.notify import Occasion
    from release.operations.models_unrecorded import Switching
    from release.proxy.base import Front, Proxy
    from release.source.repository import Resolved, Source


@dataclass(frozen=True)
class ModelSwitching:
    """`manifest` is None where no service is known. `tree`: the folder of the benchmark set; `hold(id)`: a context
    manager around the deployment lock."""

    hands: Switching
    manifest: Manifest | None
    tree: Path
    hold: Callable[[str], contextlib.AbstractContextManager[object]]


@dataclass
class Desk:
    """Where a command works from. `service` and `root` find the state; `cwd`, `manifest` and `overrides` a manifest."""

    report: Report
    root: Path = field(default_factory=default_root)
    service: str | None = None
    cwd: Path = field(default_factory=Path.cwd)
    manifest: Path | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    interruption: Interruption = field(default_factory=Interruption)

    def for_tag(self, ref: str | None, *, snapshot: bool = False, approve: bool = False) -> tuple[Hands, Plan]:
        """Hands and plan for a tag or full release name, or for the working tree (`snapshot`).

        The manifest is the tagged commit's own; a commit without one takes `--manifest`, else the working tree's.
        """
        from release.source.repository import Source

        source = Source(self.cwd)
        scratch = self.root / ".snapshots" / str(os.getpid()) if snapshot else None
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
            atexit.register(_forget_snapshot, scratch)
            resolved = source.snapshot(scratch)
        elif ref is not None:
            resolved = source.resolve(ref)
        else:
            raise UsageError("name the tag to deploy", hint="release deploy v1.2.0, or --snapshot for the working tree")
        manifest, config, prefix = self._manifest(source, resolved)
        hands = self.hands(manifest, config)
        return hands, _plan(hands, source, resolved, scratch, prefix, approve)

    def for_scope(self) -> Hands:
        """Hands for what is deployed, from the ledger alone: no repository is needed.

        Where several services are deployed and none is named, the manifest of the directory one stands in decides.
        """
        state = self._state()
        with Ledger(state.ledger, readonly=True) as ledger:
            config = _in_force(ledger)
        if config is None:
            manifest, config = self._loaded()
            if manifest.scope != state.scope:
                raise UsageError(f"nothing of {state.scope} was deployed yet", hint="`release deploy TAG`")
            return self.hands(manifest, config)
        reach = Reach.kept(config)
        return self._hands(state, config, reach, partial(_from_ledger, config, self.environ), notifies=reach.notifies)

    def for_manifest(self) -> Hands:
        """Hands for the manifest one stands in, deployed or not (`release proxy install`, `doctor`)."""
        manifest, config = self._loaded()
        return self.hands(manifest, config)

    def for_models(self, *, named: bool = False) -> ModelSwitching:
        """What a model switch works with: by the manifest one stands in, else by what is deployed; where nothing is,
        by a registry or a service that is `named` alone, and unrecorded."""
        from release.config.load import to_ledger

        loaded = self._here()
        if loaded is not None:
            hands, tree = self.hands(loaded.manifest, to_ledger(loaded.manifest)), loaded.root
        elif self.service is None and holds_nothing(self.root, self.environ):
            return self._unrecorded(named)
        else:
            hands, tree = self.for_scope(), self.cwd
        return ModelSwitching(hands, hands.manifest, tree, partial(self.hold, hands))

    def _unrecorded(self, named: bool) -> ModelSwitching:
        from release.operations.models_unrecorded import Unrecorded

        if not named:
            raise UsageError(
                "no service is known here, so nothing says where its models are",
                hint="--registry DIR or --url URL; or run it where release.yaml is, or with -C DIR or --manifest FILE",
            )
        text = "no service is known here: nothing is recorded in a ledger, and no quality gate is configured"
        self.report(Said(f"{text} ({self.root} has no service, this folder no release.yaml)"))
        hands = Unrecorded(self.report, self.interruption, identity.actor(self.environ))
        return ModelSwitching(hands, None, self.cwd, lambda _: contextlib.nullcontext())

    def models(self, *, needed: bool = True) -> Models | None:
        """The manifest's `models`, for a look. None where it has none, or where there is neither manifest nor state.

        `needed` False: None also where it cannot be told which service is meant.
        """
        if (loaded := self._here()) is not None:
            return loaded.manifest.models
        if self.service is None and not known_scopes(self.root):
            return None
        try:
            state = self._state()
        except UsageError:
            if needed:
                raise
            return None
        with Ledger(state.ledger, readonly=True) as ledger:
            config = _in_force(ledger)
        return None if config is None else _from_ledger(config, self.environ).models

    def model_registry(self, where: str | None, section: Models | None, *, or_service: bool = False) -> ModelRegistry:
        """The registry that is named, else the manifest's. Raises UsageError where there is none; `or_service`: the
        command would have asked a service as well."""
        from release.models.opening import opened
        from release.models.place import Place

        named = section.registry if where is None and section is not None else where
        if named is None:
            raise UsageError(
                "no model registry is named" if not or_service else "neither a model registry nor a service is named",
                hint=f"{'--url URL, ' if or_service else ''}--registry DIR, or `models:` in release.yaml",
            )
        place = named if "://" in named else str(self.cwd / Path(named).expanduser())
        return opened(Place(place, self.root / ".cache" / "models"), lambda text: self.report(Said(text, "warning")))

    def model_service(self, url: str | None, section: Models | None) -> ModelService | None:
        """The running service that is named, else the manifest's; None where there is none.

        The manifest's token goes to the manifest's service alone; RELEASE_MODELS_TOKEN to whichever is asked.
        """
        from release.config.secret import Secret, read
        from release.models.service import Address, ModelService

        own = section.url if section is not None else None
        named = url if url is not None else own
        if named is None:
            return None
        given = self.environ.get("RELEASE_MODELS_TOKEN")
        token = Secret(given) if given else None
        if token is None and section is not None and section.token is not None and own in (None, named):
            token = read("models.token", section.token)
        return ModelService(Address(named, section.prefix if section is not None else "", token))

    def model_board(
        self,
        url: str | None,
        registry: str | None,
        section: Models | None,
        *,
        together: bool = False,
        expect: int | None = None,
    ) -> Board:
        """Where versions are switched: what is named, else the manifest's service, else its registry. `expect`: the
        generation of a service that is to be switched."""
        from release.models.marking import RegistryBoard
        from release.models.service import ServiceBoard

        service = self.model_service(url, section) if registry is None else None
        if service is not None:
            return ServiceBoard(service, together=together, expect=expect)
        if expect is not None:
            raise UsageError("a registry has no generations", hint="--expect is for a running service")
        if together:
            raise UsageError(
                "in a registry every component goes back alone", hint="--together is for a running service"
            )
        return RegistryBoard(self.model_registry(registry, section, or_service=True))

    def switched_models(self) -> list[tuple[str, str]]:
        """Component and version of what was switched to last and of what was there before, by every service's ledger:
        several may have their models in one registry."""
        from release.operations.models import switched_to

        found: list[tuple[str, str]] = []
        for scope in known_scopes(self.root):
            with Ledger(State(self.root, scope).ledger, readonly=True) as ledger:
                found += switched_to(ledger)
        return found

    def hands(self, manifest: Manifest, config: dict[str, object]) -> Hands:
        state = State(self.root, manifest.scope)
        hands = self._hands(state, config, Reach.kept(config), lambda: manifest, notifies=bool(manifest.notify))
        _refuse_namesake(hands, manifest)
        return hands

    def _hands(
        self,
        state: State,
        config: dict[str, object],
        reach: Reach,
        manifest: Callable[[], Manifest],
        *,
        notifies: bool,
    ) -> Hands:
        """`manifest` is called once what takes all of it is asked for."""
        state.create()
        ledger = Ledger(state.ledger)
        traffic_lock = TrafficLock(state.locks / "traffic.lock")
        hands = Hands(
            state=state,
            reach=reach,
            engine=make_engine(reach.engine, reach.host, state),
            front=make_front(reach, state, manifest),
            ledger=ledger,
            report=self.report,
            interruption=self.interruption,
            traffic_lock=lambda: traffic_lock,
            rollback_lock=partial(_hold_rollback, state.locks / "rollback.lock"),
            notify=lambda *what: _notify(hands, *what) if notifies else None,
            actor=identity.actor(self.environ),
            config=config,
            open_whole=lambda: make_whole(manifest(), state),
        )
        return hands

    @contextlib.contextmanager
    def hold(self, hands: Hands, deployment_id: str) -> Iterator[None]:
        """The deployment lock for one run. Raises Locked naming who holds it."""
        lock = DeploymentLock(hands.state.locks / "deployment.lock")
        with lock.holding(deployment=deployment_id):
            yield

    @contextlib.contextmanager
    def try_hold(self, hands: Hands) -> Iterator[bool]:
        """As `hold`, without waiting and without an error: yields whether the lock could be had."""
        lock = DeploymentLock(hands.state.locks / "deployment.lock")
        try:
            lock.acquire(0.0)
        except (Locked, LedgerError):
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def holder(self, hands: Hands) -> dict[str, object] | None:
        """Who holds the deployment lock, without taking it."""
        return DeploymentLock(hands.state.locks / "deployment.lock").holder()

    def _state(self) -> State:
        if self.service is None and len(known_scopes(self.root)) > 1:
            with contextlib.suppress(ReleaseError):
                manifest, _ = self._loaded()
                state = State(self.root, manifest.scope)
                if state.exists():
                    return state
        return find(self.root, self.service)

    def _loaded(self) -> tuple[Manifest, dict[str, object]]:
        from release.config.load import load, to_ledger

        loaded = load(self.manifest, start=self.cwd, overrides=self.overrides, environ=self.environ)
        return loaded.manifest, to_ledger(loaded.manifest)

    def _here(self) -> Loaded | None:
        """The manifest one stands in, unless another service was named."""
        from release.config.load import load

        try:
            loaded = load(self.manifest, start=self.cwd, overrides=self.overrides, environ=self.environ)
        except ManifestError as error:
            if self.manifest is None and "no release.yaml" in error.message:
                return None
            raise
        return loaded if self.service in (None, loaded.manifest.scope, loaded.manifest.service) else None

    def _manifest(self, source: Source, resolved: Resolved) -> tuple[Manifest, dict[str, object], str]:
        from release.config import load as loading

        prefix = self._prefix(source)
        name = str(Path(prefix) / loading.FILE_NAME)
        text = None
        if self.manifest is None and not resolved.snapshot:
            text = source.read(resolved.commit, name)
        if text is None:
            try:
                manifest, config = self._loaded()
            except ManifestError as error:
                if self.manifest is None and "no release.yaml" in error.message:
                    raise ManifestError(
                        f"neither the commit of {resolved.release.tag} nor this directory holds a release.yaml",
                        hint="`release init` writes one; --manifest FILE names one elsewhere",
                    ) from None
                raise
            return manifest, config, prefix
        where = f"{name} of {resolved.release.tag}"
        manifest, _ = loading.parse(text, where, overrides=self.overrides, environ=self.environ)
        return manifest, loading.to_ledger(manifest), prefix

    def _prefix(self, source: Source) -> str:
        """Where the manifest's folder lies within the repository: a repository may hold several services."""
        from release.config import load as loading

        if source.root is None or self.manifest is not None:
            return "."
        with contextlib.suppress(ManifestError, ValueError):
            return str(loading.find(self.cwd).parent.resolve().relative_to(source.root.resolve()))
        return "."


def _refuse_namesake(hands: Hands, manifest: Manifest) -> None:
    """Service `shop-eu` and environment `eu` of `shop` come to one scope: each would take the other for its own."""
    whose = {
        (row.config.get("service"), row.config.get("environment")) for row in hands.ledger.releases() if row.config
    }
    if whose and (manifest.service, manifest.environment) not in whose:
        hands.ledger.close()
        known = " and ".join(f"{service}, environment {environment or 'none'}" for service, environment in whose)
        raise ManifestError(
            f"{manifest.scope} is deployed here already, and is another service's: {known}",
            hint="rename the service or its environment: both would share containers, images and traffic",
        )


def _in_force(ledger: Ledger) -> dict[str, object] | None:
    """The configuration that nginx has: of the last run that brought in its own and did not take it back.

    Before there was one, of what was live last, else of whatever was tried or built; None where nothing was.
    """
    for limit in (5, 1000):
        for row in ledger.deployments(limit=limit, kind=Kind.DEPLOY):
            if row.facts.get("in_nginx") and row.facts.get("config"):
                return dict(row.facts["config"])
    rows = [row for row in ledger.releases() if row.config]
    tried = {row.release for row in ledger.deployments(limit=100) if row.kind in (Kind.DEPLOY, Kind.CHECK)}
    known = [row for row in rows if row.last_live_at] or [row for row in rows if row.name in tried] or rows
    return known[0].config if known else None


def _forget_snapshot(scratch: Path) -> None:
    shutil.rmtree(scratch, ignore_errors=True)
    with contextlib.suppress(OSError):
        scratch.parent.rmdir()


def _hold_rollback(path: Path, wait: float) -> contextlib.AbstractContextManager[object]:
    return RollbackLock(path).holding(wait)


def _from_ledger(config: dict[str, object], environ: Mapping[str, str]) -> Manifest:
    from release.config.stored import from_ledger

    return from_ledger(config, environ)


def make_whole(manifest: Manifest, state: State) -> Whole:
    from release.observe.samples import AccessLog

    proxy = make_proxy(manifest, state)
    return Whole(
        manifest=manifest,
        images=make_images(manifest, state),
        proxy=proxy,
        registry=make_registry(manifest),
        access_log=lambda: AccessLog(proxy.access_log),
    )


def make_engine(kind: str, host: str | None, state: State) -> Engine:
    if kind == "process":
        from release.engine.process import ProcessEngine

        return ProcessEngine(state.path / "process")
    from release.engine.docker import DockerEngine

    return DockerEngine(host)


def make_images(manifest: Manifest, state: State) -> ImageStore:
    if manifest.engine.kind == "process":
        from release.image.directory import DirectoryImages

        return DirectoryImages(state.path / "process")
    from release.image.docker import DockerImages

    return DockerImages(manifest.engine.host)


def make_registry(manifest: Manifest) -> RegistryClient | None:
    """A registry is asked only where the manifest names one: in the image's name, or by a push or a login."""
    named = names_registry(manifest.repository) or manifest.registry.push or manifest.registry.username
    if manifest.engine.kind == "process" or not named:
        return None
    from release.image.registry import DockerRegistry

    return DockerRegistry(manifest.registry, manifest.engine.host)


def names_registry(repository: str) -> bool:
    """`registry.example.com/team/app` and `localhost:5000/app` do; `app` and `team/app` do not."""
    first, slash, _ = repository.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")


def image_sources(hands: Hands) -> Sources:
    from release.image.build import Sources

    if hands.manifest.engine.kind == "process":
        return Sources(hands.images)
    from release.image.base import DockerBases
    from release.image.wheelhouse import WheelCache

    cache = hands.state.cache
    bases = DockerBases(cache / "bases", hands.manifest.engine.host)
    return Sources(hands.images, hands.registry, bases, WheelCache(cache / "wheels"))


def make_proxy(manifest: Manifest, state: State) -> Proxy:
    from release import proxy

    return proxy.open(manifest, state.path)


def make_front(reach: Reach, state: State, manifest: Callable[[], Manifest]) -> Front:
    """Flags need no more than their directory; a switch that rewrites nginx's configuration needs all that is in it."""
    if reach.rewrites:
        return make_proxy(manifest(), state)
    from release.proxy.front import FlagFront

    return FlagFront(state.scope, reach, state.path)


def _plan(hands: Hands, source: Source, resolved: Resolved, scratch: Path | None, prefix: str, approve: bool) -> Plan:
    from release import checks
    from release.image import build

    def export(into: Path) -> None:
        if scratch is not None:
            shutil.move(scratch, into)
        else:
            source.export(resolved.commit, into)

    def obtain(tree: Path, progress: Progress) -> Obtained:
        wanted = build.Wanted(
            release=resolved.release,
            commit=resolved.commit,
            tree=tree,
            now=utc_now(),
            origin_url=resolved.origin_url,
            snapshot=resolved.snapshot,
        )
        return build.obtain(wanted, hands.manifest, image_sources(hands), progress)

    return Plan(
        release=resolved.release,
        commit=resolved.commit,
        export=export,
        obtain=obtain,
        checks=checks.build(hands.manifest, approved=approve),
        left_out=checks.unconfigured(hands.manifest),
        snapshot=resolved.snapshot,
        prefix=prefix,
    )


def _notify(hands: Hands, occasion: Occasion, release: str, reason: str, live: str | None) -> None:
    """Tells those named under `notify`; one that fails is recorded and fails nothing."""
    from release.notify import Event, Notifier

    event = Event(occasion, hands.scope, release, reason, live, hands.actor, identity.host())
    try:
        failures = Notifier(list(hands.manifest.notify)).send(event)
    except ManifestError as error:
        failures = [error.message]
    for failure in failures:
        hands.report(Said(f"a notification failed: {failure}", "warning"))
        with contextlib.suppress(ReleaseError):
            hands.ledger.note("notification failed", failure)
