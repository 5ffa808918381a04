"""A Dockerfile's instructions, as far as a look needs them: the stage that runs, with variables filled in. Pure.

Follows Docker's reference: continuation lines, comments between them, the escape directive, heredocs, any case,
`FROM earlier-stage`, ARG and ENV.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

_ESCAPE = re.compile(r"^#\s*escape\s*=\s*([\\`])\s*$", re.IGNORECASE)
_HEREDOC = re.compile(r"<<-?\s*([\"']?)([A-Za-z_][A-Za-z0-9_]*)\1")
_VARIABLE = re.compile(r"\\?\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?:(:?[-+])([^}]*))?\})")
_FROM = re.compile(r"^(?:--\S+\s+)*(\S+)(?:\s+as\s+(\S+))?\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class Instruction:
    """`name` in upper case, `value` in one line with variables filled in, `line` where it begins (from 1)."""

    name: str
    value: str
    line: int

    @property
    def words(self) -> list[str]:
        """A command's words, in exec or shell form; a nested `sh -c "…"` is opened up."""
        try:
            words = json.loads(self.value)
        except ValueError:
            words = _split(self.value)
        if not isinstance(words, list):
            words = [self.value]
        return [part for word in words for part in _split(str(word))]

    def __str__(self) -> str:
        text = f"{self.name} {self.value}"
        return text if len(text) <= 80 else text[:79] + "…"


@dataclass
class Stage:
    """The image that a `FROM` begins: what it inherits and adds."""

    base: str
    instructions: list[Instruction] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)

    def last(self, name: str) -> Instruction | None:
        return next((found for found in reversed(self.instructions) if found.name == name), None)

    def every(self, name: str) -> list[Instruction]:
        return [found for found in self.instructions if found.name == name]


def final_stage(text: str) -> Stage | None:
    """The last stage with all that it inherits from earlier ones; None for a file without FROM."""
    stages: dict[str, Stage] = {}
    globals_: dict[str, str] = {}
    variables: dict[str, str] = {}
    stage: Stage | None = None
    for raw in instructions(text):
        value = raw.value if raw.name in ("RUN", "COPY", "ADD") else _fill(raw.value, variables)
        found = Instruction(raw.name, value, raw.line)
        if found.name == "FROM":
            stage = _begin(_fill(raw.value, globals_), stages)
            variables = dict(stage.env)
        elif stage is None:
            if found.name == "ARG":
                globals_ |= _assignments(found.value)
                variables = dict(globals_)
        else:
            stage.instructions.append(found)
            if found.name == "ENV":
                stage.env |= _assignments(found.value)
                variables |= stage.env
            elif found.name == "ARG":
                name, _, default = found.value.partition("=")
                given = _assignments(found.value) if default else {name: globals_.get(name, "")}
                variables = given | variables
    return stage


def _begin(value: str, stages: dict[str, Stage]) -> Stage:
    match = _FROM.match(value)
    base, name = (match[1], match[2]) if match else (value, None)
    parent = stages.get(base.lower())
    stage = Stage(parent.base if parent else base)
    if parent:
        stage.instructions, stage.env = list(parent.instructions), dict(parent.env)
    if name:
        stages[name.lower()] = stage
    return stage


def instructions(text: str) -> Iterator[Instruction]:
    """Every instruction in order, continuation lines joined, heredoc bodies left out."""
    lines = text.splitlines()
    escape = next((match[1] for line in lines[:5] if (match := _ESCAPE.match(line))), "\\")
    index = 0
    while index < len(lines):
        begin, parts = index, list[str]()
        while index < len(lines):
            line = lines[index].strip()
            index += 1
            if not line or line.startswith("#"):
                if not parts:
                    break
                continue  # comments and empty lines between continuation lines do not end them
            parts.append(line.removesuffix(escape).strip())
            if not line.endswith(escape):
                break
        joined = " ".join(part for part in parts if part)
        if not joined:
            continue
        name, _, value = joined.partition(" ")
        if name.upper() in ("RUN", "COPY", "ADD"):
            index = _after_heredocs(lines, index, value)
        yield Instruction(name.upper(), value.strip(), begin + 1)


def _after_heredocs(lines: list[str], index: int, value: str) -> int:
    for match in _HEREDOC.finditer(value):
        end = next((at for at in range(index, len(lines)) if lines[at].strip() == match[2]), None)
        index = index if end is None else end + 1  # without its end it was no heredoc, but a shift, say
    return index


def _assignments(value: str) -> dict[str, str]:
    """`A=1 B="2 3"`, or ENV's old form `A 1 2`."""
    words = _split(value)
    if words and "=" not in words[0]:
        return {words[0]: value.partition(" ")[2].strip()} if len(words) > 1 else {}
    return dict(word.split("=", 1) for word in words if "=" in word)


def _fill(value: str, variables: dict[str, str]) -> str:
    def found(match: re.Match[str]) -> str:
        if match[0].startswith("\\"):
            return match[0]
        name = match[1] or match[2]
        held = variables.get(name, "")
        if match[3] in (":-", "-"):
            return held or match[4]
        if match[3] in (":+", "+"):
            return match[4] if held else ""
        return held if name in variables else match[0]

    return _VARIABLE.sub(found, value)


def _split(value: str) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError:
        return value.split()
