"""The manifest's `engine`, `container` and `slots`: what runs the releases, and how one instance of them is started."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from release import naming
from release.config.quantities import Bytes, Seconds
from release.config.section import Port, SecretSource, Section, VariableName


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
