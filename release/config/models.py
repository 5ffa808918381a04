"""The manifest's `models`: where the versions of a service's models are, and who is asked for them."""

from __future__ import annotations

from pydantic import Field, field_validator

from release.config.quantities import Seconds
from release.config.section import SecretSource, Section


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
