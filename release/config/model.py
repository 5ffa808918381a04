"""The manifest: one frozen section per noun of `release.yaml`. Unknown keys fail."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from release import naming
from release.config.quantities import Bytes, Fraction, Seconds
from release.config.secret import check_source

Port = Annotated[int, Field(ge=1, le=65535)]
SecretSource = Annotated[str, AfterValidator(check_source)]


def _repository_path(value: str) -> str:
    if not value or value.startswith(("/", "~")) or ".." in value.split("/"):
        raise ValueError(
            f"{value!r} leaves the repository; write a path relative to it, such as evaluation/cases.jsonl"
        )
    return value


def _url_path(value: str) -> str:
    if not value.startswith("/") or any(char.isspace() for char in value):
        raise ValueError(f"{value!r} is no path of a URL; write for example /health")
    return value


def _variable(value: str) -> str:
    if not _VARIABLE.fullmatch(value):
        raise ValueError(f"{value!r} is no name of an environment variable; write letters, digits and underscores")
    return value


RepositoryPath = Annotated[str, AfterValidator(_repository_path)]
UrlPath = Annotated[str, AfterValidator(_url_path)]
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
VariableName = Annotated[str, AfterValidator(_variable)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Base(Section):
    """The base image, handed to the Dockerfile as a build argument."""

    image: str = Field(description="what to pull, such as python:3.11-slim-bookworm")
    argument: str = Field("BASE_IMAGE", description="the Dockerfile's ARG that takes it")
    bootstrap: str | None = Field(
        None, description="Debian suite to make a base image from (mmdebstrap) where the pull fails, such as bookworm"
    )


class Wheelhouse(Section):
    """Python wheels, downloaded before the build with their hashes and placed in the build context."""

    requirements: str = Field(description="frozen requirements with hashes, relative to the repository")
    directory: str = Field("wheelhouse", description="where the build context holds them")
    python: str = Field("3.11", description="Python version of the image")


class Build(Section):
    context: str = "."
    dockerfile: str = "Dockerfile"
    args: dict[str, str] = Field(default_factory=dict)
    base: Base | None = None
    wheelhouse: Wheelhouse | None = None
    timeout: Seconds = 3600.0


class Registry(Section):
    push: bool = False
    username: str | None = None
    password: str | None = Field(None, repr=False)
    insecure: bool = Field(False, description="plain HTTP, for a registry on this host")


class EngineSection(Section):
    kind: Literal["docker", "process"] = "docker"
    host: str | None = Field(None, description="Docker host URL; default: DOCKER_HOST or the local socket")


class Container(Section):
    port: Port
    command: list[str] | None = None
    env: dict[str, str] = Field(default_factory=dict)
    secrets: dict[str, SecretSource] = Field(default_factory=dict)
    volumes: tuple[str, ...] = ()
    memory: Bytes | None = None
    shm_size: Bytes | None = None
    cpus: float | None = Field(None, gt=0)
    gpus: int = Field(0, ge=0)
    stop_timeout: Seconds = 30.0
    log_max_size: Bytes = 10 << 20
    log_max_files: int = Field(3, ge=1)

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
    blue: Port = 8101
    green: Port = 8102

    @model_validator(mode="after")
    def _differ(self) -> Slots:
        if self.blue == self.green:
            raise ValueError("blue and green need two different ports")
        return self

    def port(self, slot: naming.Slot) -> int:
        return self.blue if slot is naming.Slot.BLUE else self.green


class Proxy(Section):
    kind: Literal["managed", "included"] = "managed"
    switch: Literal["flags", "rewrite"] = "flags"
    listen: Port = 8080
    address: str = Field("0.0.0.0", description="address the public listener binds")
    admin: Port | None = Field(None, description="loopback port of the admin location; default: listen + 10000")
    include: str | None = Field(None, description="included/rewrite: the file in nginx's conf.d that this writes")
    server_name: str = "_"
    max_body: Bytes = 20 << 20
    read_timeout: Seconds = 60.0
    stream_timeout: Seconds | None = Field(None, description="longest SSE or WebSocket stream; default: read_timeout")
    sticky: str = Field(
        "none", description="what keeps a client on one slot during a canary: none, address, header:NAME or cookie:NAME"
    )

    @field_validator("sticky")
    @classmethod
    def _sticky(cls, value: str) -> str:
        kind, _, name = value.partition(":")
        if value in ("none", "address") or (
            kind in ("header", "cookie") and name.replace("-", "").replace("_", "").isalnum()
        ):
            return value
        raise ValueError("write none, address, header:NAME or cookie:NAME")

    @property
    def admin_port(self) -> int:
        return (
            self.admin
            if self.admin is not None
            else (self.listen + 10000 if self.listen <= 55535 else self.listen - 10000)
        )

    @model_validator(mode="after")
    def _include(self) -> Proxy:
        if (self.kind == "included" or self.switch == "rewrite") and not self.include:
            raise ValueError("kind: included and switch: rewrite need `include`, the file in nginx's conf.d to write")
        return self


class Health(Section):
    path: str = "/health"
    timeout: Seconds = 60.0
    settle: Seconds = Field(2.0, description="how long it has to stay ready, and the same container")


class WarmUp(Section):
    requests: int = Field(20, ge=0, description="most requests sent; it ends earlier once latency settles")
    request: Request | None = Field(None, description="default: the quality check's request, else GET the health path")


class Request(Section):
    """A request to the service. `{source}` in the JSON body or path is replaced by a case's source text."""

    method: Literal["GET", "POST", "PUT"] = "POST"
    path: str = "/"
    json_: Any = Field(None, alias="json")
    headers: dict[str, str] = Field(default_factory=dict)
    timeout: Seconds = 30.0


class Contract(Section):
    openapi: str = "/openapi.json"
    allow: tuple[str, ...] = Field((), description="breaking changes that are meant, as the check prints them")


class Integration(Section):
    suite: str = "tests/integration"
    retries: int = Field(
        3, ge=0, description="retries of the first connection only; a failed assertion is never retried"
    )
    timeout: Seconds = 600.0
    args: tuple[str, ...] = ()


class Metric(Section):
    floor: float | None = None
    ceiling: float | None = None
    margin: float = Field(2.0, gt=0, description="how much worse than live, in points, still counts as not worse")


class Quality(Section):
    cases: str = Field(description="JSON Lines: source, reference, optional group and document")
    request: Request
    answer: str = Field(description="JMESPath expression that finds the answer in the response")
    metrics: dict[Literal["bleu", "chrf", "ter"], Metric]
    concurrency: int = Field(4, ge=1)
    resamples: int = Field(1000, ge=100)
    anchor: str | None = Field(None, description="a pinned release to compare with as well")
    groups: bool = Field(True, description="judge every group by itself too")
    min_group: int = Field(100, ge=2, description="a group with fewer cases is shown and not judged")
    hold: int = Field(0, ge=0, description="show this many answers and wait for --approve")
    worst: int = Field(5, ge=0)

    @field_validator("metrics")
    @classmethod
    def _metrics(cls, value: dict[str, Metric]) -> dict[str, Metric]:
        if not value:
            raise ValueError("name at least one metric: bleu, chrf or ter")
        for name, metric in value.items():
            if name == "ter" and metric.floor is not None:
                raise ValueError("ter is an error rate: it has a ceiling, not a floor")
            if name != "ter" and metric.ceiling is not None:
                raise ValueError(f"{name} is a score: it has a floor, not a ceiling")
        return value


class Latency(Section):
    requests: int = Field(200, ge=20)
    concurrency: int = Field(4, ge=1)
    p95: Seconds | None = None
    ratio: float | None = Field(
        None, gt=1.0, description="how many times slower than live is too slow, at the same percentile"
    )
    request: Request | None = None


class Checks(Section):
    health: Health = Health()
    warmup: WarmUp = WarmUp()
    contract: Contract | None = None
    integration: Integration | None = None
    quality: Quality | None = None
    latency: Latency | None = None


class Observe(Section):
    for_: Seconds = Field(1800.0, alias="for")
    max_error_rate: Fraction = 0.01
    p95: Seconds | None = None
    min_requests: int = Field(200, ge=1)


class Rollout(Section):
    strategy: Literal["bluegreen"] = "bluegreen"
    observe: Observe = Observe()
    rollback_barrier: bool = False


class Hooks(Section):
    before_start: str | None = None
    before_switch: str | None = None
    after_commit: str | None = None
    timeout: Seconds = 600.0


class Freeze(Section):
    """A window in which `deploy` refuses (rollback never does): cron-like days and hours in the host's local time."""

    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = ()
    from_: str = Field("00:00", alias="from", pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    to: str = Field("24:00", pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$")
    reason: str = ""


class Manifest(Section):
    service: str
    environment: str | None = None
    image: str | None = Field(None, description="repository without a tag; default: the service's name")
    title: str | None = None
    description: str | None = None
    licenses: str | None = None
    source: str | None = Field(None, description="URL of the repository; default: its origin remote")
    labels: dict[str, str] = Field(default_factory=dict)
    build: Build = Build()
    registry: Registry = Registry()
    engine: EngineSection = EngineSection()
    container: Container
    slots: Slots = Slots()
    standby: Literal["warm", "cold"] = "warm"
    drain: Seconds = 60.0
    proxy: Proxy = Proxy()
    checks: Checks = Checks()
    rollout: Rollout = Rollout()
    retain: int = Field(3, ge=1)
    hooks: Hooks = Hooks()
    freeze: tuple[Freeze, ...] = ()
    notify: tuple[str, ...] = Field((), repr=False)
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


WarmUp.model_rebuild()
