"""The manifest's `build` and `registry`: how the image is made, and where it is pushed."""

from __future__ import annotations

from pydantic import Field

from release.config.quantities import Seconds
from release.config.section import RepositoryPath, Section


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
