"""From a Dockerfile's final stage and the repository's source text to a port and a health path. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from release.scaffold.dockerfile import Instruction, Stage
from release.scaffold.findings import Certainty, Guess

Sources = Iterable[tuple[str, str]]  # path in the repository, text

_PORT_FLAG = re.compile(r"^(?:--?(?:[\w.-]*[-.])?port|-p|-P)(?:=(.*))?$")
_BIND_FLAG = re.compile(r"^(?:-b|-l|--(?:[\w.-]*-)?(?:bind|listen|addr|address|http|socket))(?:=(.*))?$")
_ADDRESS = re.compile(r"^(?:tcp://|http://)?(?:\[[0-9a-f:]*\]|[\w.*-]*):(\d{1,5})$")
_OWN_ADDRESS = re.compile(r"^(?:\[::\]|0\.0\.0\.0|127\.0\.0\.1|localhost|\*)?:(\d{1,5})$")  # `db:5432` is another's
_PORT_VARIABLES = (
    "PORT",
    "HTTP_PORT",
    "APP_PORT",
    "SERVER_PORT",
    "SERVICE_PORT",
    "WEB_PORT",
    "LISTEN_PORT",
    "UVICORN_PORT",
    "FLASK_RUN_PORT",
    "STREAMLIT_SERVER_PORT",
    "GRADIO_SERVER_PORT",
    "NODE_PORT",
)
# What a server listens on when it is told nothing, from its own documentation.
_DEFAULTS = {
    "uvicorn": 8000,
    "gunicorn": 8000,
    "hypercorn": 8000,
    "daphne": 8000,
    "fastapi": 8000,
    "flask": 5000,
    "streamlit": 8501,
    "http.server": 8000,
    "waitress-serve": 8080,
    "tritonserver": 8000,
    "bentoml": 3000,
    "vllm": 8000,
    "nginx": 80,
    "rails": 3000,
    "puma": 9292,
}
_SOURCE_PORT = re.compile(
    r"""(?:\.listen\(\s*|\brun\([^)\n]*\bport\s*=\s*|\bListenAndServe\(\s*["'`][^"'`]*:|"""
    r"""\bPORT["']?\s*(?:,|\|\||\?\?|\)\s*or)\s*["']?)(\d{2,5})\b"""
)
_URL_PATH = re.compile(
    r"""(?:https?://|(?<![\w./])(?=localhost\b|127\.0\.0\.1|0\.0\.0\.0|\[::1\]))"""
    r"""(?:\[[^\]]*\]|[^\s/"'])+(/[^\s"'`|;,)\]\\]*)?(?=[\s"'`|;,)\]\\]|$)"""
)
_HEALTH_PATHS = (
    "/health/ready",
    "/healthz/ready",
    "/readyz",
    "/ready",
    "/-/ready",
    "/healthz",
    "/health",
    "/healthcheck",
    "/health-check",
    "/api/health",
    "/api/healthz",
    "/api/v1/health",
    "/v1/health",
    "/v2/health/ready",
    "/_health",
    "/-/healthy",
    "/_stcore/health",
    "/up",
    "/livez",
    "/status",
    "/ping",
)
_QUOTED_HEALTH = re.compile(
    "([\"'`])(" + "|".join(re.escape(path) for path in sorted(_HEALTH_PATHS, key=len, reverse=True)) + r")/?\1"
)
_ROUTE = re.compile(r"route|\.(?:get|add_api_route|add_url_rule|handle\w*|GET)\s*\(|HandleFunc|path\(|Mapping", re.I)


def port(stage: Stage, place: str, sources: Sources) -> Guess:
    """The port that the service listens on, inside its container."""
    return (
        _from_command(stage, place)
        or _from_expose(stage, place)
        or _from_environment(stage, place)
        or _from_sources(sources)
        or _from_server(stage, place)
        or Guess("8000", "nothing names a port", Certainty.GUESS)
    )


def health(stage: Stage, place: str, sources: Sources) -> Guess:
    """The path that tells whether the service is ready."""
    check = stage.last("HEALTHCHECK")
    if check is not None and check.value.upper() != "NONE":
        found = _path_of_url(check.value)
        if found is not None:
            return Guess(found, _brief(check), Certainty.SURE, place, check.line)
    best: tuple[int, int, Guess] | None = None
    for path, text in sources:
        for match in _QUOTED_HEALTH.finditer(text):
            start = text.rfind("\n", 0, match.start()) + 1
            line = text[start : text.find("\n", match.end()) % (len(text) + 1)]
            routed = bool(_ROUTE.search(line))
            guess = Guess(
                match[2],
                f"{line.strip()[:60]}",
                Certainty.LIKELY if routed else Certainty.GUESS,
                path,
                text.count("\n", 0, match.start()) + 1,
            )
            rank = (0 if routed else 1, _HEALTH_PATHS.index(match[2]))
            if best is None or rank < best[:2]:
                best = (*rank, guess)
    return best[2] if best else Guess("/", "nothing names a health path; / has to answer 2xx", Certainty.GUESS)


def _command(stage: Stage) -> list[tuple[Instruction, list[str]]]:
    """ENTRYPOINT and CMD with their words."""
    return [(found, found.words) for name in ("ENTRYPOINT", "CMD") if (found := stage.last(name)) is not None]


def _from_command(stage: Stage, place: str) -> Guess | None:
    for instruction, words in reversed(_command(stage)):
        number = _port_in(words)
        if number is not None:
            return Guess(number, _brief(instruction), Certainty.SURE, place, instruction.line)
    return None


def _port_in(words: list[str]) -> str | None:
    for index, word in enumerate(words):
        after = words[index + 1] if index + 1 < len(words) else ""
        flag, bind = _PORT_FLAG.match(word), _BIND_FLAG.match(word)
        if flag is not None:
            number = _valid(flag[1] if flag[1] is not None else after)
        elif bind is not None:
            number = _of_address(bind[1] if bind[1] is not None else after)
        elif word == "http.server":
            number = _valid(after)
        else:
            match = _OWN_ADDRESS.match(word) if index else None  # `runserver 0.0.0.0:8000`
            number = _valid(match[1]) if match is not None else None
        if number is not None:
            return number
    return None


def _from_expose(stage: Stage, place: str) -> Guess | None:
    ports = [(found, word) for found in stage.every("EXPOSE") for word in found.value.split()]
    usable = [(found, number) for found, word in ports if (number := _exposed(word)) is not None]
    if not usable:
        return None
    wanted = {stage.env.get(name) for name in _PORT_VARIABLES}
    chosen = next(((found, number) for found, number in usable if number in wanted), usable[0])
    others = {number for _, number in usable} - {chosen[1]}
    certainty = Certainty.LIKELY if others and chosen[1] not in wanted else Certainty.SURE
    return Guess(chosen[1], _brief(chosen[0]), certainty, place, chosen[0].line)


def _exposed(word: str) -> str | None:
    number, _, protocol = word.partition("/")
    return _valid(number) if protocol.lower() in ("", "tcp") else None


def _from_environment(stage: Stage, place: str) -> Guess | None:
    for name in _PORT_VARIABLES:
        number = _valid(stage.env.get(name, ""))
        if number is not None:
            line = next((found.line for found in reversed(stage.every("ENV")) if name in found.value), None)
            return Guess(number, f"ENV {name}={number}", Certainty.LIKELY, place, line)
    return None


def _from_sources(sources: Sources) -> Guess | None:
    for path, text in sources:
        match = _SOURCE_PORT.search(text)
        if match is not None and _valid(match[1]):
            start = text.rfind("\n", 0, match.start()) + 1
            line = text[start : text.find("\n", match.end()) % (len(text) + 1)].strip()
            return Guess(match[1], line[:60], Certainty.LIKELY, path, text.count("\n", 0, match.start()) + 1)
    return None


def _from_server(stage: Stage, place: str) -> Guess | None:
    for instruction, words in _command(stage):
        for word in words:
            number = _DEFAULTS.get(word.rpartition("/")[2])
            if number is not None:
                reason = f"{_brief(instruction)}; {number} is the default of {word.rpartition('/')[2]}"
                return Guess(str(number), reason, Certainty.LIKELY, place, instruction.line)
    return None


def _of_address(text: str) -> str | None:
    match = _ADDRESS.match(text.strip("\"'"))
    return _valid(match[1]) if match is not None else _valid(text)


def _valid(text: str) -> str | None:
    return text if text.isascii() and text.isdigit() and 1 <= int(text) <= 65535 else None


def _path_of_url(text: str) -> str | None:
    match = _URL_PATH.search(text)
    path = (match[1] or "/").partition("?")[0] if match is not None else "$"
    return None if "$" in path or "{" in path else path


def _brief(instruction: Instruction) -> str:
    return " ".join(str(instruction).split())
