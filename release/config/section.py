"""What every section of the manifest shares: frozen, unknown keys refused, and the types of its texts and ports."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from release.config.secret import check_source

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


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


Port = Annotated[int, Field(ge=1, le=65535)]
SecretSource = Annotated[str, AfterValidator(check_source)]
RepositoryPath = Annotated[str, AfterValidator(_repository_path)]
UrlPath = Annotated[str, AfterValidator(_url_path)]
VariableName = Annotated[str, AfterValidator(_variable)]


class Section(BaseModel):
    """A value object: valid from birth, never changed. Sections build their validators when they are first used."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)
