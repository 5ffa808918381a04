"""Which engine, image store, registry and proxy a manifest asks for, as the classes that they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from release.config.reach import Reach
from release.config.state import State
from release.rollout.hands import Hands, Whole

if TYPE_CHECKING:
    from release.config.manifest import Manifest
    from release.engine.base import Engine
    from release.image.build import Sources
    from release.image.store import ImageStore, RegistryClient
    from release.proxy.base import Front, Proxy


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
