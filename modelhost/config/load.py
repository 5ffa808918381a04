"""Reads the one file: YAML → typed settings → cross-checks. Every mistake names file, line, key and what to write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from modelhost.config.crosscheck import mistakes
from modelhost.config.document import Document
from modelhost.config.model import Settings
from modelhost.config.wording import complaint
from modelhost.errors import ConfigError

_MOST_BYTES = 1 << 20


def load(path: Path, environ: Mapping[str, str]) -> Settings:
    """The settings of a file; relative paths in it are meant from its folder. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)  # no more: a device never ends
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", "give the path of the configuration") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path.name} is not UTF-8 text (byte {error.start})", "save it as UTF-8") from error
    return parse(text, path.name, environ, path.resolve().parent)


def parse(text: str, name: str, environ: Mapping[str, str], folder: Path) -> Settings:
    """As `load`, from text; `name` is what messages call it."""
    document = Document(text, name, environ)
    try:
        settings = Settings.model_validate(document.value, context={"folder": folder})
    except ValidationError as error:
        raise complaint(error, document, Settings) from None
    try:
        found = [document.error(path, problem, "").message for path, problem in mistakes(settings)]
    except ConfigError as error:
        raise ConfigError(f"{name}: {error.message}", error.hint) from error
    if found:
        raise ConfigError("\n".join(found), "mend the file, then start or reload")
    return settings
