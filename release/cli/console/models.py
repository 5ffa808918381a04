"""Versions of models, as a table or one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from release.cli.console import tables
from release.models.base import Described, Held, Verified, Version

# Triton's words for where a version is; the second would read as if something were broken.
_MEMORY = {"READY": "in memory", "UNAVAILABLE": "not loaded", "LOADING": "loading"}
_COLOURS = {"stable": "green", "rejected": "red", "unstable": "yellow"}


def listed(versions: Sequence[Version], width: int) -> list[str]:
    """One line a version; `latest` stands at the one that it means."""
    if not versions:
        return ["there is no version"]
    columns = ["component", "version", "status", "made (UTC)", "MB", "note"]
    rows = [
        [
            one.component,
            one.version,
            f"{one.status}, latest" if one.latest else one.status,
            f"{one.created:%Y-%m-%d %H:%M}",
            f"{one.bytes / 1e6:.1f}",
            one.note,
        ]
        for one in versions
    ]
    return tables.text(columns, rows, width)


def held(versions: Sequence[Held], generation: int, behind: Sequence[str], width: int) -> list[str]:
    """One line a version of a service: what serves, what is in memory, what it could bring."""
    if not versions:
        return ["there is no version"]
    rows = [
        [
            one.component,
            one.version,
            "serves" if one.serves else "",
            _MEMORY.get(one.state, one.state),
            one.status or "",
        ]
        for one in versions
    ]
    table = tables.text(["component", "version", "", "memory", "status"], rows, width)
    late = [click.style(f"behind: {', '.join(behind)}", fg="yellow")] if behind else []
    return [*table, *([f"generation {generation} serves"] if generation else []), *late]


def told(one: Held, says: Mapping[str, Any], mates: Mapping[str, Sequence[str]]) -> list[str]:
    """A version of a service, with what the service tells of it; `mates`: component → the versions that fit."""
    serves = ", serves" if one.serves else ""
    state = _MEMORY.get(one.state, one.state)
    lines = [f"{one.component} {one.version}  {state}{serves}" + (f", {one.status}" if one.status else "")]
    for side in ("inputs", "outputs"):
        lines.append(f"  {side:<15} {', '.join(_tensor(tensor) for tensor in says.get(side, []))}")
    lines += [f"  {name:<15} {_said(value)}" for name, value in says.get("parameters", {}).items() if value]
    return lines + ([f"  {'mates':<15} {_mates(one.mates, mates)}"] if one.mates else [])


def described(found: Described, mates: Mapping[str, Sequence[str]]) -> list[str]:
    """Every field with something to say, then the status log; `mates`: component → the versions that fit."""
    one = found.version
    status = click.style(one.status, fg=_COLOURS.get(one.status))
    lines = [f"{one.component} {one.version}  {status}{', latest' if one.latest else ''}", f"  {one.note}"]
    for name, value in found.says.items():
        if name not in ("component", "version", "note", "format", "files", "interface") and value not in (None, {}, []):
            lines.append(f"  {name:<15} {_said(value) if name != 'mates' else _mates(value, mates)}")
    for side in ("inputs", "outputs"):
        tensors = found.says.get("interface", {}).get(side, [])
        lines.append(f"  {side:<15} {', '.join(_tensor(tensor) for tensor in tensors)}")
    lines.append(f"  {'shape':<15} {found.says.get('interface', {}).get('shape', '')}")
    lines.append(f"  {'digest':<15} {one.digest}")
    lines += [f"  {file['bytes']:>15,} {file['path']}" for file in found.says.get("files", [])]
    lines += [f"  {change.at:%Y-%m-%d %H:%M} {change.status} by {change.who}: {change.why}" for change in found.log]
    return lines


def verified(found: Sequence[Verified]) -> list[str]:
    """A sign and a name a version, and below it what is not as it was published."""
    lines = []
    for one in found:
        sign = click.style("✗", fg="red") if one.problems else click.style("✓", fg="green")
        lines.append(f"{sign} {one.component} {one.version}")
        lines += [f"    {problem}" for problem in one.problems]
    return lines or ["there is no version"]


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_said(each)}" for name, each in value.items() if each not in (None, {}, []))
    if isinstance(value, list):
        return ", ".join(_said(each) for each in value)
    return str(value)


def _mates(named: Mapping[str, str], versions: Mapping[str, Sequence[str]]) -> str:
    """`tokenizer 1.0.0 (sha256:…)`: the digest is what counts, the number what a person knows."""
    return ", ".join(f"{name} {' or '.join(versions[name]) or 'of no version here'} ({named[name]})" for name in named)


def _tensor(tensor: dict[str, Any]) -> str:
    return f"{tensor['name']} {tensor['datatype']} {tensor['shape']}"
