"""Reading a Dockerfile, as far as this project has to: where instructions start, and what the last stage runs. Pure."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_ESCAPE = re.compile(r"^#\s*escape\s*=\s*(\S)\s*$", re.IGNORECASE)
_DIRECTIVE = re.compile(r"^#\s*\w+\s*=")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?:(:?[-+])([^}]*))?\}|(\w+))")


@dataclass(frozen=True)
class Instruction:
    """`word` in upper case, `rest` with continuations joined; `last` is the index of its last line."""

    word: str
    rest: str
    last: int


@dataclass(frozen=True)
class Runtime:
    """What the last stage says about running: exec-form command (empty where it says nothing), environment, folder."""

    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    workdir: str = "/"
    exposed: tuple[int, ...] = ()


def instructions(text: str) -> Iterator[Instruction]:
    """The instructions of a Dockerfile in order. Comments and empty lines inside a continuation belong to it."""
    lines = text.splitlines()
    escape = _escape(lines)
    pending: list[str] = []
    for number, line in enumerate(lines):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            if pending and number == len(lines) - 1:
                yield _instruction(pending, number)
            continue
        continues = stripped.endswith(escape)
        pending.append(stripped[:-1].rstrip() if continues else stripped)
        if not continues or number == len(lines) - 1:
            yield _instruction(pending, number)
            pending = []


def with_labels(text: str, layers: Mapping[str, str], image: Mapping[str, str]) -> str:
    """The Dockerfile with a LABEL after every FROM, so that each stage and layer can be recognised as ours, and one
    with the image's labels at its end: the last layer, so that a changing `created` costs no cache."""
    lines = text.splitlines()
    escape = _escape(lines)
    starts = {found.last for found in instructions(text) if found.word == "FROM"}
    out: list[str] = []
    for number, original in enumerate(lines):
        out.append(original)
        if number in starts:
            out.append(_label(layers, escape))
    return "\n".join([*out, _label(image, escape), ""])


def runtime(text: str, arguments: Mapping[str, str]) -> Runtime:
    """CMD, ENTRYPOINT, ENV, WORKDIR and EXPOSE of the last stage. Shell forms become `/bin/sh -c …`, as Docker does.

    Raises ValueError for a quote that nothing closes.
    """
    known: dict[str, str] = {}
    env: dict[str, str] = {}
    command: tuple[str, ...] = ()
    entry: tuple[str, ...] = ()
    workdir = "/"
    exposed: list[int] = []
    for found in instructions(text):
        rest = found.rest
        if found.word == "ARG":
            name, _, default = rest.partition("=")
            known[name.strip()] = arguments.get(name.strip(), _unquoted(default))
        elif found.word == "FROM":
            env, command, entry, workdir, exposed = {}, (), (), "/", []
        elif found.word == "ENV":
            env |= _pairs(rest, known | env)
        elif found.word == "WORKDIR":
            place = _substitute(_unquoted(rest), known | env)
            workdir = place if place.startswith("/") else f"{workdir.rstrip('/')}/{place}"
        elif found.word == "CMD":
            command = _command(rest)
        elif found.word == "ENTRYPOINT":
            entry, command = _command(rest), ()
        elif found.word == "EXPOSE":
            ports = _substitute(rest, known | env).split()
            exposed += [int(port.partition("/")[0]) for port in ports if port.partition("/")[0].isdigit()]
    return Runtime(entry + command, env, workdir, tuple(exposed))


def _label(labels: Mapping[str, str], escape: str) -> str:
    return "LABEL " + " ".join(
        f"{_quoted(key, escape)}={_quoted(value, escape)}" for key, value in sorted(labels.items())
    )


def _quoted(text: str, escape: str) -> str:
    """In double quotes, nothing in it substituted; a line's end, which no LABEL can hold, becomes a space."""
    flat = " ".join(text.splitlines())
    return '"' + "".join(escape + sign if sign in (escape, '"', "$") else sign for sign in flat) + '"'


def base(text: str, arguments: Mapping[str, str]) -> str:
    """The image that the last stage is built from, through the stages before it; empty where it is `scratch`."""
    known: dict[str, str] = {}
    stages: dict[str, str] = {}
    found = ""
    for instruction in instructions(text):
        if instruction.word == "ARG" and not found:
            name, _, default = instruction.rest.partition("=")
            known[name.strip()] = arguments.get(name.strip(), _unquoted(default))
        elif instruction.word == "FROM":
            words = [word for word in _substitute(instruction.rest, known).split() if not word.startswith("--")]
            found = stages.get(words[0].lower(), words[0]) if words else ""
            if len(words) == 3 and words[1].upper() == "AS":
                stages[words[2].lower()] = found
    return "" if found == "scratch" else found


def _instruction(lines: list[str], last: int) -> Instruction:
    word, *rest = " ".join(lines).split(None, 1) or [""]
    return Instruction(word.upper(), "".join(rest).strip(), last)


def _escape(lines: list[str]) -> str:
    """The escape character: a parser directive may change it, and only before anything else."""
    for line in lines:
        if not _DIRECTIVE.match(line.strip()):
            break
        match = _ESCAPE.match(line.strip())
        if match is not None:
            return match[1]
    return "\\"


def _command(rest: str) -> tuple[str, ...]:
    try:
        parsed = json.loads(rest)
    except ValueError:
        parsed = None
    if isinstance(parsed, list) and all(isinstance(word, str) for word in parsed):
        return tuple(parsed)
    return ("/bin/sh", "-c", rest)


def _pairs(rest: str, known: Mapping[str, str]) -> dict[str, str]:
    """`ENV a=1 b="two words"`, or the old form `ENV a all the rest`."""
    first = rest.split(None, 1)
    if not first:
        return {}
    if "=" not in first[0]:
        return {first[0]: _substitute(first[1] if len(first) > 1 else "", known)}
    pairs = {}
    for word in shlex.split(rest):
        name, _, value = word.partition("=")
        pairs[name] = _substitute(value, known)
    return pairs


def _substitute(text: str, known: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        name, how, other = match[1] or match[4], match[2], match[3] or ""
        if how and how.endswith("+"):
            return other if known.get(name) else ""
        return known.get(name) or (other if how else "")

    return _VARIABLE.sub(value, text)


def _unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
