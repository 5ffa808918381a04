"""`${NAME}` and `${NAME:-default}` in a manifest's values: found, shielded from YAML's own grammar, and filled in.

`$${` stands for a literal `${`. A default holds where the variable is unset or empty, as in a shell.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}\n]*))?\}|\$\{")
_SPECIAL = "{}[],:#"
# In `[${URL}]` the braces would end YAML's plain scalar. Inside a reference, characters that mean something to YAML are
# exchanged for private-use ones of the same width before it is read, and back afterwards: lines and columns stay.
_SHIELD = {ord(char): chr(0xE000 + ord(char)) for char in _SPECIAL}
_UNSHIELD = {0xE000 + ord(char): char for char in _SPECIAL}


class Missing(Exception):
    """A variable without a value and without a default; or, with `name` None, a `${` that is no reference."""

    def __init__(self, name: str | None) -> None:
        super().__init__(name)
        self.name = name


def shield(text: str) -> str:
    return _REFERENCE.sub(lambda match: match[0].translate(_SHIELD), text)


def unshield(text: str) -> str:
    return text.translate(_UNSHIELD)


def has_reference(text: str) -> bool:
    return "${" in text


def expand(text: str, environ: Mapping[str, str]) -> str:
    """`text` with every reference filled in. Raises Missing."""

    def fill(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        name, default = match[1], match[2]
        if name is None:
            raise Missing(None)
        value = environ.get(name)
        if default is not None and not value:
            return default
        if value is None:
            raise Missing(name)
        return value

    return _REFERENCE.sub(fill, text)


def names(text: str) -> list[str]:
    """The variables that `text` refers to and that have no default, in order."""
    return [match[1] for match in _REFERENCE.finditer(text) if match[1] and match[2] is None]
