"""Workflow commands of GitHub Actions as text: escaped, so that no content becomes a command."""

from __future__ import annotations

import os
from collections.abc import Mapping


def active(environ: Mapping[str, str] = os.environ) -> bool:
    return environ.get("GITHUB_ACTIONS") == "true"


def annotation(level: str, text: str, title: str = "") -> str:
    """`::error title=…::text` with what the runner would misread escaped; `level` is error, warning or notice."""
    return f"::{level}{f' title={_property(title)}' if title else ''}::{message(text)}"


def message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return message(text).replace(":", "%3A").replace(",", "%2C")
