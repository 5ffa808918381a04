"""The manifest, `release.yaml`: its top level; the modules imported here have its sections. Unknown keys fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, PrivateAttr, field_validator

from release import naming
from release.config.checks import Checks
from release.config.container import Container, EngineSection, Slots
from release.config.image import Build, Registry
from release.config.models import Models
from release.config.proxy import Proxy
from release.config.quantities import Seconds
from release.config.rollout import Freeze, Hooks, Rollout
from release.config.section import Section


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
