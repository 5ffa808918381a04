"""What a version says of itself: the content of `version.json`. Frozen, valid from birth; no files are read here."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated, Any

import semver
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

NAME = r"^[a-z][a-z0-9]*([._-][a-z0-9]+)*$"
LONGEST = 200  # characters of a name or version: they become names of files, which have 255 bytes at most
FORMAT = 1
DATATYPES = (
    "BOOL",
    *(f"{kind}{8 * n}" for kind in ("INT", "UINT") for n in (1, 2, 4, 8)),
    *("FP16", "FP32", "FP64", "BF16", "BYTES"),
)


def canonical_version(text: str) -> str:
    """`v1.2.0` and `1.2.0` are one version, written without the v. Raises ValueError where it is no SemVer 2.0."""
    if len(text) > LONGEST:
        raise ValueError(f"a version has at most {LONGEST} characters")
    return str(semver.Version.parse(text.removeprefix("v")))


def _inside(path: str) -> str:
    parts = path.split("/")
    if not path or path.startswith("/") or "\\" in path or any(part in ("", ".", "..") for part in parts):
        raise ValueError("must be a relative path inside the version's directory")
    return path


Version = Annotated[str, AfterValidator(canonical_version)]
RelativePath = Annotated[str, AfterValidator(_inside)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class File(_Frozen):
    """One file of a version: `bytes` is its size, `fast` its XXH3-128 in hex, for start-up."""

    path: RelativePath
    bytes: int = Field(ge=0)
    sha256: Sha256
    fast: str = Field(pattern=r"^[0-9a-f]{32}$")


class Environment(_Frozen):
    """The libraries that a version was made with, e.g. python 3.11.7, packages {torch: 2.13.0}; cuda None for CPU."""

    python: str = Field(min_length=1)
    packages: dict[str, str] = {}
    cuda: str | None = None


class Tensor(_Frozen):
    """A named input or output; `datatype` in the words of the Open Inference Protocol, -1 in `shape` for any size."""

    name: str = Field(min_length=1)
    datatype: str = Field(pattern=f"^({'|'.join(DATATYPES)})$")
    shape: tuple[Annotated[int, Field(ge=-1)], ...]


class Interface(_Frozen):
    """What goes in and comes out, and the name of the API shape that it answers with (`translation/1`)."""

    inputs: tuple[Tensor, ...] = Field(min_length=1)
    outputs: tuple[Tensor, ...] = Field(min_length=1)
    shape: str = Field(pattern=r"^[a-z][a-z0-9_.-]*/[1-9][0-9]*$")


class VersionInfo(_Frozen):
    """All that `version.json` says. `mates`: component → digest of the version of it that this one works with."""

    format: int = Field(default=FORMAT, ge=1, le=FORMAT)
    component: str = Field(pattern=NAME)
    version: Version
    created: AwareDatetime
    loader: str = Field(pattern=NAME, description="who can load it: safetensors, marian, ctranslate2 …")
    note: str = Field(min_length=1, description="what changed, for a person")
    metrics: dict[str, float]
    training_data: tuple[str, ...]
    environment: Environment
    preprocessing: str = Field(min_length=1, description="identity of what happens to an input first")
    postprocessing: str = Field(min_length=1, description="identity of what happens to an output last")
    interface: Interface
    mates: dict[str, str] = {}
    settings: dict[str, Any] = Field(default={}, description="for the loader: beams, maximum length …")
    files: tuple[File, ...] = Field(min_length=1)

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the paths and contents of the files: the same for the same weights, wherever they lie."""
        lines = sorted(f"{file.sha256} {file.path}\n" for file in self.files)
        return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def bytes(self) -> int:
        """Size of all files together, in bytes."""
        return sum(file.bytes for file in self.files)

    @property
    def order(self) -> tuple[semver.Version, datetime]:
        """Sorts versions of a component from the oldest to the newest, by SemVer precedence."""
        return semver.Version.parse(self.version), self.created
