"""The configuration, typed and frozen. Every key has its meaning beside it; a default is what most services want."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from modelhost.config.quantities import Seconds, Size
from modelhost.config.routing import AdapterSection, RoutingSection
from modelhost.config.values import (
    Address,
    BatchSize,
    Code,
    Device,
    FolderOrUrl,
    Label,
    LatestOr,
    LocalFolder,
    LocalPath,
    Name,
    Section,
    Threads,
)
from modelhost.loading.base import Placement
from modelhost.metadata import RelativePath, Version

SIGNS_IN_A_TTL = 4  # fewer, and a member that was busy for a moment is taken for dead


class RegistrySection(Section):
    """Where versions come from: a folder (`root`), or an object store or share (`url`) with a local `cache`.

    `over_network`: weights may be mapped from a folder that comes over the network, which is refused otherwise.
    """

    root: LocalFolder | None = None
    url: str | None = Field(default=None, pattern=r"^[a-z0-9+]+://", description="such as s3://bucket/models")
    cache: LocalFolder | None = None
    over_network: bool = Field(default=False, strict=True)

    @model_validator(mode="after")
    def _one_of_two(self) -> RegistrySection:
        if (self.root is None) == (self.url is None):
            raise ValueError("needs either `root`, a folder, or `url`, an object store")
        if self.url is not None and self.cache is None:
            raise ValueError("needs `cache`, a local folder, because weights are never mapped from a `url`")
        return self


class VersionSection(Section):
    """Where and how one version runs, where that is not what its component's section says."""

    device: Device | None = None
    threads: Threads | None = None
    batch_size: BatchSize | None = None


class ComponentSection(Section):
    """One component. `ttl`: idle time after which a version leaves memory; `routable`: versions that the public may

    name though they are not in memory; `fallback`: code that answers when nothing stable is left; `environment`: what
    a version made for other libraries meets; `allow_pickles`: files, by name, that may be loaded though they can run
    code; `versions`: those that run elsewhere or otherwise than the rest.
    """

    default: LatestOr = "latest"
    loader: Name | None = Field(default=None, description="the loader's name; what version.json says where left out")
    device: Device = "cpu"
    threads: Threads = 1
    batch_size: BatchSize = 16
    versions: Mapping[Version, VersionSection] = {}
    pinned: bool = Field(default=False, strict=True)
    ttl: Seconds | None = None
    routable: tuple[Version, ...] = ()
    fallback: Code | None = None
    environment: Literal["strict", "warn", "off"] = "strict"
    allow_pickles: tuple[RelativePath, ...] = ()

    def placement(self, version: str) -> Placement:
        """Where and how this version runs."""
        own = self.versions.get(version, VersionSection())
        return Placement(own.device or self.device, own.threads or self.threads, own.batch_size or self.batch_size)

    @property
    def devices(self) -> set[str]:
        """All that versions of it may run on."""
        return {self.device, *(each.device for each in self.versions.values() if each.device is not None)}


class MemorySection(Section):
    """`budget`: bytes that all versions in memory may take together, by default 80 % of what the machine and its
    control groups leave free at the start. `workers`: processes of this service that share it, each with its part.

    `keep_previous`: what was replaced stays in memory for a quick way back, until another set is loaded or somebody
    needs its room; else it leaves with its last request. What the code of the service says goes before these two.
    """

    budget: Size | None = None
    keep_previous: bool = Field(default=True, strict=True)
    workers: int = Field(default=1, ge=1, le=1024)


class RecordSection(Section):
    """The record of requests: `preview` in characters of the input, `max_size` at which the file starts anew."""

    path: LocalPath
    preview: int = Field(default=0, ge=0, le=10_000)
    max_size: Size = 64 << 20
    keep: int = Field(default=3, ge=0, le=1000)
    queue: int = Field(default=10_000, ge=1)


class HttpSection(Section):
    """Files of the HTTP room: hashed tokens, record of requests, audit trail. Without tokens nobody operates."""

    tokens: LocalPath | None = None
    record: RecordSection | None = None
    audit: LocalPath | None = None


class ClusterSection(Section):
    """Processes of a service that switch together; all have the same section. `group`: the service's name, by which two

    services on one registry stay apart; `place`: the folder or URL where they keep what is desired, the registry by
    default; `member`: this process's name for people, by default host and process. `heartbeat`: between signs of life;
    `ttl`: without one, a member is taken for dead; `poll`: between two looks at what is desired; `patience`: how long
    all may take to load a set; `retry`: between two attempts at a committed set that could not be loaded.
    """

    group: Name
    place: FolderOrUrl | None = None
    member: Label | None = None
    heartbeat: Seconds = 2.0
    ttl: Seconds = 10.0
    poll: Seconds = 0.5
    patience: Seconds = 300.0
    retry: Seconds = 10.0

    @model_validator(mode="after")
    def _lives_long_enough(self) -> ClusterSection:
        if self.ttl < SIGNS_IN_A_TTL * max(self.heartbeat, self.poll):
            raise ValueError(
                f"has a ttl of {self.ttl:g} s, which takes the living for dead; write at least {SIGNS_IN_A_TTL} times "
                f"the heartbeat ({self.heartbeat:g} s) and the poll ({self.poll:g} s)"
            )
        return self


class Settings(Section):
    """The whole configuration. `sets`: components that flip together; `notify`: apprise URLs, never shown; `cluster`:

    for a service of several processes that are to switch together; `name`: what notifications call the service, by
    default the cluster's group, or the folder of this file.
    """

    name: Label | None = None
    registry: RegistrySection
    components: Mapping[Name, ComponentSection] = Field(min_length=1)
    sets: Mapping[Name, Annotated[tuple[Name, ...], Field(min_length=2)]] = {}
    memory: MemorySection = MemorySection()
    routing: Mapping[Name, RoutingSection] = {}
    adapters: tuple[AdapterSection, ...] = ()
    http: HttpSection = HttpSection()
    notify: tuple[Address, ...] = ()
    cluster: ClusterSection | None = None

    def changed(self, other: Settings) -> tuple[str, ...]:
        """Names of the sections in which two configurations differ."""
        return tuple(name for name in type(self).model_fields if getattr(self, name) != getattr(other, name))
