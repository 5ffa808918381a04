"""A secret's source, and its value with a repr that hides it. Values are read when a container starts, never stored."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from release.config import regular
from release.errors import ManifestError

_SOURCE = re.compile(r"(file|env):(.+)")


@dataclass(frozen=True, repr=False)
class Secret:
    """A secret value. `str()` and `repr()` hide it; `reveal()` is the one way to it."""

    value: str

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def reveal(self) -> str:
        return self.value

    def fingerprint(self, salt: str) -> str:
        """Twelve hexadecimal digits that tell whether it changed, and nothing else (scrypt, salted)."""
        key = hashlib.scrypt(self.value.encode(), salt=salt.encode(), n=2**12, r=8, p=1, dklen=6)
        return key.hex()


def check_source(source: str) -> str:
    """Returns `source` if it is `file:PATH` or `env:NAME`; raises ValueError otherwise."""
    match = _SOURCE.fullmatch(source)
    if match is None:
        raise ValueError("write file:/absolute/path or env:NAME; a secret's value never stands in the manifest")
    if match[1] == "file" and not match[2].startswith("/"):
        raise ValueError("a secret's file needs an absolute path, such as file:/etc/app/api_key")
    return source


def read(name: str, source: str) -> Secret:
    """The value behind a source. Raises ManifestError naming what is missing."""
    kind, _, place = source.partition(":")
    if kind == "env":
        value = os.environ.get(place)
        if value is None:
            raise ManifestError(f"secret {name}: the environment variable {place} is not set", hint=f"export {place}")
        return Secret(value)
    try:
        text = regular.read(Path(place)).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
        return Secret(text.rstrip("\n"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"  # never the error's text: it quotes
        raise ManifestError(
            f"secret {name}: cannot read {place} ({why})",
            hint="create the file, or let this user read it",
        ) from error
