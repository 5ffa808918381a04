"""What is wrong with a manifest: complaints are gathered, so that one run names every mistake, then raised as one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from release.config.origin import KeyPath, Origin, dotted
from release.errors import ManifestError


@dataclass(frozen=True)
class Complaint:
    """One mistake: the key, one sentence that starts after the key's name, and where the value was written."""

    path: KeyPath
    text: str
    origin: Origin | None = None

    def __str__(self) -> str:
        place = f"{self.origin}: " if self.origin is not None and str(self.origin) else ""
        key = f"{dotted(self.path)} " if self.path else ""
        return f"{place}{key}{self.text}"


def shown(value: Any) -> str:
    """A value as a person wrote it, short enough for one line."""
    if value is None:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "…"


def manifest_error(complaints: Sequence[Complaint], name: str) -> ManifestError:
    """One error for all complaints, in the order of their lines; the single one stands alone."""
    ordered = sorted(complaints, key=lambda complaint: (complaint.origin.line or 0) if complaint.origin else 0)
    hint = "`release config schema` prints every key with its meaning"
    if len(ordered) == 1:
        return ManifestError(str(ordered[0]), hint=hint)
    lines = "\n".join(f"  - {complaint}" for complaint in ordered)
    return ManifestError(f"{name} has {len(ordered)} mistakes:\n{lines}", hint=hint)
