"""The benchmark set: JSON Lines with a source, a reference and, where there are any, a group and a document.

One file, or a folder whose `*.jsonl` files are read in the order of their names. A key that is not known is an error:
a misspelt `group` would silently take a group's judgement away.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from release.config import regular
from release.errors import UsageError

_KEYS = ("source", "reference", "group", "document", "id", "note")


@dataclass(frozen=True)
class Case:
    source: str
    reference: str
    group: str | None = None
    document: str | None = None


@dataclass(frozen=True)
class CaseSet:
    """The cases in order, and the digest (sha256, hexadecimal) of the text that they were read from."""

    cases: tuple[Case, ...]
    digest: str

    @property
    def groups(self) -> dict[str, list[int]]:
        """Indices of every group's cases, in order of first appearance; cases without a group are in none."""
        found: dict[str, list[int]] = {}
        for index, case in enumerate(self.cases):
            if case.group is not None:
                found.setdefault(case.group, []).append(index)
        return found

    def units(self, indices: list[int]) -> list[int]:
        """The resampling unit of each of these cases, numbered from 0: its document, or itself where it names none."""
        numbers: dict[object, int] = {}
        return [numbers.setdefault(self._unit(index), len(numbers)) for index in indices]

    def _unit(self, index: int) -> object:
        case = self.cases[index]
        return index if case.document is None else (case.group, case.document)


def load(tree: Path, place: str) -> CaseSet:
    """Reads `place` (relative to `tree`). Raises UsageError that names file and line."""
    path = tree / place
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    cases: list[Case] = []
    digest = hashlib.sha256()
    for file in files:
        try:
            data = regular.read(file)
            text = data.decode("utf-8-sig")
        except FileNotFoundError:
            raise UsageError(f"{place} does not exist in this release", hint="commit the benchmark set") from None
        except (OSError, UnicodeDecodeError) as error:
            name = file.relative_to(tree) if file.is_relative_to(tree) else file
            why = error.strerror if isinstance(error, OSError) else error.__class__.__name__
            raise UsageError(f"{name} is not readable as UTF-8 text ({why})") from error
        digest.update(len(data).to_bytes(8, "big") + data)
        shown = place if file == path else f"{place.rstrip('/')}/{file.name}"
        # Not splitlines(): that also splits at U+2028 and its like, which JSON allows inside a text.
        cases += [_case(line, f"{shown}, line {n}") for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not cases:
        raise UsageError(f"{place} holds no case", hint='write one JSON object a line: {"source": …, "reference": …}')
    return CaseSet(tuple(cases), digest.hexdigest())


def _case(line: str, place: str) -> Case:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{place}: not JSON ({error})") from None
    if not isinstance(row, dict):
        raise UsageError(f"{place}: not a JSON object", hint='write {"source": …, "reference": …}')
    for key in row:
        if key not in _KEYS:
            raise UsageError(f"{place}: unknown key {key!r}", hint=f"known: {', '.join(_KEYS)}")
    for key in ("source", "reference"):
        if not isinstance(row.get(key), str) or not row[key].strip():
            raise UsageError(f"{place}: {key!r} has to be a text that is not empty")
    for key in ("group", "document"):
        if key in row and (not isinstance(row[key], str) or not row[key].strip()):
            raise UsageError(f"{place}: {key!r} has to be a text that is not empty, or absent")
    return Case(row["source"], row["reference"], row.get("group"), row.get("document"))
