"""The manifest: one frozen section per noun of `release.yaml`. Unknown keys fail. The gates are in `checks.py`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from release import naming
from release.config.checks import (
    Checks,
    Contract,
    Health,
    Integration,
    Latency,
    Metric,
    Quality,
    Request,
    WarmUp,
)
from release.config.quantities import Bytes, Fraction, Seconds
from release.config.reach import admin_port
from release.config.section import Port, RepositoryPath, SecretSource, Section, VariableName

__all__ = [
    "Base",
    "Build",
    "Checks",
    "Container",
    "Contract",
    "EngineSection",
    "Freeze",
    "Health",
    "Hooks",
    "Integration",
    "Latency",
    "Manifest",
    "Metric",
    "Models",
    "Observe",
    "Port",
    "Proxy",
    "Quality",
    "Registry",
    "Request",
    "Rollout",
    "SecretSource",
    "Section",
    "Slots",
    "WarmUp",
    "Wheelhouse",
]

HOST_NAMES = re.compile(r"[A-Za-z0-9.*_-]+(?: [A-Za-z0-9.*_-]+)*")  # what nginx takes as server_name, unquoted


class Base(Section):
    """The base image, handed to the Dockerfile as a build argument: pulled, else the one that is here, else made.

    Where no registry can be reached, `bootstrap: bookworm` makes one with Python from Debian packages (mmdebstrap).
    The Dockerfile takes it by `ARG BASE_IMAGE` and `FROM ${BASE_IMAGE}`.
    """

    image: str = Field(description="what to pull, such as python:3.11-slim-bookworm")
    argument: str = Field("BASE_IMAGE", description="the Dockerfile's ARG that takes it")
    bootstrap: str | None = Field(
        None, description="Debian suite to make a base image from (mmdebstrap) where the pull fails, such as bookworm"
    )


class Wheelhouse(Section):
    """Python wheels, downloaded before the build with their hashes and placed in the build context."""

    requirements: RepositoryPath = Field(description="frozen requirements with hashes, relative to the repository")
    directory: RepositoryPath = Field("wheelhouse", description="where the build context holds them")
    python: str = Field("3.11", description="Python version of the image")


class Build(Section):
    """How the image is made, from an export of the tagged commit."""

    context: RepositoryPath = Field(".", description="the build context, relative to the repository")
    dockerfile: RepositoryPath = Field("Dockerfile", description="the Dockerfile, relative to the context")
    args: dict[str, str] = Field(
        default_factory=dict, description="build arguments; no secrets, they stay in the image"
    )
    base: Base | None = Field(None, description="the base image, where the Dockerfile takes it as an argument")
    wheelhouse: Wheelhouse | None = Field(None, description="Python wheels for a build without network")
    timeout: Seconds = Field(3600.0, description="how long the build may take")


class Registry(Section):
    """The registry that `image` names. Without `push` the image stays on this host."""

    push: bool = Field(False, description="push after the gates, and read the digest back")
    username: str | None = Field(None, description="default: Docker's own login")
    password: str | None = Field(None, repr=False, description="write ${NAME}; the value is never stored or printed")


class EngineSection(Section):
    """What runs the releases."""

    kind: Literal["docker", "process"] = Field(
        "docker", description="docker, or process: supervised local processes where no Docker Engine can be had"
    )
    host: str | None = Field(None, description="Docker host URL; default: DOCKER_HOST or the local socket")


class Container(Section):
    """One instance of a release: the port it listens on, its environment, its limits."""

    port: Port = Field(description="the port on which the service listens inside its container")
    command: list[str] | None = Field(None, description="a list of words; default: the image's own command")
    env: dict[VariableName, str] = Field(default_factory=dict, description="environment variables, kept per release")
    secrets: dict[VariableName, SecretSource] = Field(
        default_factory=dict, description="environment variables from file:/path or env:NAME, never stored or printed"
    )
    volumes: tuple[str, ...] = Field((), description="/host/path:/container/path, with :ro for read-only")
    memory: Bytes | None = Field(None, description="most memory; default: no limit")
    shm_size: Bytes | None = Field(None, description="size of /dev/shm; default: the engine's, 64m")
    cpus: float | None = Field(None, gt=0, description="most CPU cores, such as 1.5; default: no limit")
    gpus: int = Field(0, ge=0, description="GPUs handed to the container")
    stop_timeout: Seconds = Field(30.0, description="time between SIGTERM and SIGKILL")
    log_max_size: Bytes = Field(10 << 20, description="size at which a log file is rotated")
    log_max_files: int = Field(3, ge=1, description="log files kept per container")

    @field_validator("volumes")
    @classmethod
    def _volumes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for volume in value:
            parts = volume.split(":")
            if (
                len(parts) not in (2, 3)
                or not parts[1].startswith("/")
                or (len(parts) == 3 and parts[2] not in ("ro", "rw"))
            ):
                raise ValueError(f"{volume!r} is no volume; write /host/path:/container/path[:ro]")
        return value


class Slots(Section):
    """The two loopback ports between which traffic moves; each holds at most one release."""

    blue: Port = Field(8101, description="port of the blue slot on 127.0.0.1")
    green: Port = Field(8102, description="port of the green slot on 127.0.0.1")

    @model_validator(mode="after")
    def _differ(self) -> Slots:
        if self.blue == self.green:
            raise ValueError("blue and green need two different ports")
        return self

    def port(self, slot: naming.Slot) -> int:
        return self.blue if slot is naming.Slot.BLUE else self.green


class Proxy(Section):
    """nginx in front of the two slots."""

    kind: Literal["managed", "included"] = Field(
        "managed", description="managed: an nginx of its own; included: a file in an existing nginx's conf.d"
    )
    switch: Literal["flags", "rewrite"] = Field(
        "flags", description="flags: one rename, no reload; rewrite: the upstream file is rewritten and nginx reloaded"
    )
    listen: Port = Field(8080, description="the public port")
    address: str = Field("0.0.0.0", description="address the public listener binds")
    admin: Port | None = Field(None, description="loopback port of the admin location; default: listen + 10000")
    include: str | None = Field(None, description="included/rewrite: the file in nginx's conf.d that this writes")
    server_name: str = Field("_", description="nginx server_name; _ takes every host name")
    command: tuple[str, ...] = Field(
        ("nginx",), min_length=1, description="how nginx is called; add -c FILE for one with a configuration elsewhere"
    )
    max_body: Bytes = Field(20 << 20, description="largest request body")
    read_timeout: Seconds = Field(60.0, description="longest silence of the service before nginx answers 504")
    stream_timeout: Seconds | None = Field(None, description="longest SSE or WebSocket stream; default: read_timeout")
    sticky: str = Field(
        "none", description="what keeps a client on one slot during a canary: none, address, header:NAME or cookie:NAME"
    )

    @field_validator("sticky")
    @classmethod
    def _sticky(cls, value: str) -> str:
        kind, _, name = value.partition(":")
        if value in ("none", "address") or (
            kind in ("header", "cookie") and name.isascii() and name.replace("-", "").replace("_", "").isalnum()
        ):
            return value
        raise ValueError("write none, address, header:NAME or cookie:NAME")

    @property
    def admin_port(self) -> int:
        return admin_port(self.listen, self.admin)

    @model_validator(mode="after")
    def _include(self) -> Proxy:
        if (self.kind == "included" or self.switch == "rewrite") and not self.include:
            raise ValueError("kind: included and switch: rewrite need `include`, the file in nginx's conf.d to write")
        if self.include is not None and not self.include.startswith("/"):
            raise ValueError("include needs an absolute path, such as /etc/nginx/conf.d/translator.conf")
        return self


class Observe(Section):
    """Watching the live slot after the switch; a breach switches back at once."""

    for_: Seconds = Field(1800.0, alias="for", description="how long")
    max_error_rate: Fraction = Field(0.01, description="share of 5xx answers and lost connections that is tolerated")
    p95: Seconds | None = Field(None, description="95 of 100 answers begin within this time")
    min_requests: int = Field(200, ge=1, description="with fewer, requests of the benchmark set are sent as well")


class Rollout(Section):
    """How traffic reaches a new release."""

    strategy: Literal["bluegreen"] = Field("bluegreen", description="all traffic at once")
    observe: Observe = Field(default_factory=Observe, description="watching after the switch")
    rollback_barrier: bool = Field(
        False, description="no automatic or bare rollback goes behind this release (after a migration, say)"
    )


class Hooks(Section):
    """The user's own commands, run by the shell in the tagged tree. What they leave running ends with them.

    Each finds in its environment RELEASE_HOOK (its name), RELEASE_SERVICE, RELEASE_ENVIRONMENT, RELEASE_RELEASE (as in
    v1.2.0-abc1234), RELEASE_DEPLOYMENT, RELEASE_SLOT and RELEASE_CANDIDATE_URL, where the release answers once started.
    """

    before_start: str | None = Field(None, description="before the candidate starts")
    before_switch: str | None = Field(None, description="after every gate is green, before traffic moves")
    after_commit: str | None = Field(None, description="once the release is good")
    timeout: Seconds = Field(600.0, description="how long one hook may take")


class Freeze(Section):
    """A window in which `deploy` refuses (rollback never does): days and hours in the host's local time."""

    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = Field(
        (), description="days of the week; none given: every day"
    )
    from_: str = Field(
        "00:00", alias="from", pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="begin, such as 17:00 or 08:30"
    )
    to: str = Field("24:00", pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$", description="end, such as 18:30 or 24:00")
    reason: str = Field("", description="shown to whoever is refused")


class Models(Section):
    """Versions of models, for a service that holds them with `modelhost`: what `release models` works on."""

    registry: str | None = Field(
        None, description="where the versions are: a directory such as /srv/models, or a URL such as s3://bucket/models"
    )
    url: str | None = Field(
        None, description="the service that runs, such as http://127.0.0.1:8080; switches go to its model API"
    )
    token: SecretSource | None = Field(
        None, description="bearer token for that API: file:/path or env:NAME, never stored or printed"
    )
    prefix: str = Field("", description="path below which the service mounts that API, such as /models")
    keep: int = Field(3, ge=3, description="stable versions of each component that `release models gc` keeps")
    grace: Seconds = Field(
        7 * 86400.0, description="how long `gc` keeps an unstable version that is older than a stable one"
    )

    @field_validator("registry")
    @classmethod
    def _registry(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith("/") and "://" not in value:
            raise ValueError(f"{value!r}: write an absolute path, such as /srv/models, or a URL")
        return value

    @field_validator("url")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError(f"{value!r} is no URL, such as http://127.0.0.1:8080")
        return value

    @field_validator("prefix")
    @classmethod
    def _prefix(cls, value: str) -> str:
        if value and not value.startswith("/"):
            raise ValueError(f"{value!r} is no path; write for example /models")
        return value


class Manifest(Section):
    """What a service is, and how its releases reach traffic."""

    service: str = Field(description="the service's name: lower-case letters, digits and dashes")
    environment: str | None = Field(None, description="separates state, names and images, such as staging")
    image: str | None = Field(None, description="repository without a tag; default: the service's name")
    title: str | None = Field(None, description="for people, in the image's labels")
    description: str | None = Field(None, description="one sentence, in the image's labels")
    licenses: str | None = Field(None, description="SPDX expression, in the image's labels")
    source: str | None = Field(None, description="URL of the repository; default: its origin remote")
    labels: dict[str, str] = Field(default_factory=dict, description="further labels of the image")
    build: Build = Field(default_factory=Build, description="how the image is made")
    registry: Registry = Field(default_factory=Registry, description="where the image is pushed")
    engine: EngineSection = Field(default_factory=EngineSection, description="what runs the releases")
    container: Container = Field(description="port, environment and limits of one instance")
    slots: Slots = Field(default_factory=Slots, description="the two ports between which traffic moves")
    standby: Literal["warm", "cold"] = Field(
        "warm",
        description="the previous release keeps running (warm), or is stopped where two models do not fit (cold)",
    )
    drain: Seconds = Field(60.0, description="how long requests in flight may go on after a switch")
    proxy: Proxy = Field(default_factory=Proxy, description="nginx in front")
    checks: Checks = Field(default_factory=Checks, description="the gates before traffic moves")
    rollout: Rollout = Field(default_factory=Rollout, description="how traffic moves, and the watch after it")
    retain: int = Field(3, ge=1, description="good releases kept before the live one")
    hooks: Hooks = Field(default_factory=Hooks, description="commands of the user's own")
    freeze: tuple[Freeze, ...] = Field((), description="windows in which `deploy` refuses")
    models: Models | None = Field(None, description="where versions of its models are, where it holds several")
    notify: tuple[str, ...] = Field((), repr=False, description="apprise URLs; write ${NAME}, they hold tokens")
    _references: dict[str, str] = PrivateAttr(default_factory=dict)

    @field_validator("service", "environment")
    @classmethod
    def _names(cls, value: str | None) -> str | None:
        if value is not None and not naming.valid_service(value):
            raise ValueError(f"{value!r}: use lower-case letters, digits and dashes, at most 50")
        return value

    @field_validator("image")
    @classmethod
    def _image(cls, value: str | None) -> str | None:
        if value is not None and (":" in value.rpartition("/")[2] or "@" in value or value != value.lower()):
            raise ValueError("write a repository in lower case without tag or digest; tags are computed")
        return value

    @field_validator("labels")
    @classmethod
    def _labels(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if name.startswith(f"{naming.LABEL_PREFIX}."):
                raise ValueError(f"{name!r} is one of the labels that this tool sets; choose another name")
        return value

    @property
    def scope(self) -> str:
        return naming.scope(self.service, self.environment)

    @property
    def references(self) -> Mapping[str, str]:
        """The text with `${NAME}` behind each hidden value, by dotted key; what the ledger keeps in its place."""
        return self._references

    def remember(self, references: Mapping[str, str]) -> None:
        """For the loader, once: sets `references`."""
        self._references.clear()
        self._references.update(references)

    @property
    def repository(self) -> str:
        """Image repository; an environment's images are its own unless `image` says otherwise."""
        return self.image or self.scope
