"""What one value of the configuration may be, and the form that every section has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationInfo

from modelhost.metadata import NAME, canonical_version
from modelhost.registry.layout import is_url
from modelhost.routing.installed import REFERENCE
from modelhost.serving.addresses import known

LABEL = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"


class Section(BaseModel):
    """A part of the configuration: frozen, and no key that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def code(text: str) -> str:
    """What names installed code. Raises ValueError."""
    if not REFERENCE.fullmatch(text):
        raise ValueError("names no code; write it as package.module:function")
    return text


def _latest_or_version(text: str) -> str:
    return text if text == "latest" else canonical_version(text)


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    """A relative path is meant from the folder of the file that names it, wherever the service was started."""
    folder: Path = (info.context or {}).get("folder", Path())
    return folder / path


def _no_url(path: Path) -> Path:
    if is_url(path):
        raise ValueError("is a URL, and a folder is wanted; write `url` for it, and a local folder as `cache`")
    return path


def _folder_or_url(text: str, info: ValidationInfo) -> str:
    return text if "://" in text else str(_beside_the_file(Path(text), info))


def _address(address: SecretStr) -> SecretStr:
    if not known(address.get_secret_value()):
        raise ValueError("is no address that apprise knows; write one such as mailtos://user:password@example.org")
    return address


LocalPath = Annotated[Path, AfterValidator(_beside_the_file)]
LocalFolder = Annotated[Path, AfterValidator(_no_url), AfterValidator(_beside_the_file)]
FolderOrUrl = Annotated[str, Field(min_length=1), AfterValidator(_folder_or_url)]
Name = Annotated[str, Field(pattern=NAME)]
Label = Annotated[str, Field(pattern=LABEL, description="a short name without spaces")]
Address = Annotated[SecretStr, AfterValidator(_address)]
Code = Annotated[str, AfterValidator(code)]
LatestOr = Annotated[str, AfterValidator(_latest_or_version)]
Device = Annotated[str, Field(pattern=r"^[a-z]+(:[0-9]+)?$", description="cpu or cuda:0")]
Threads = Annotated[int, Field(ge=1, le=1024)]
BatchSize = Annotated[int, Field(ge=1)]
