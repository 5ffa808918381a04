"""A service that runs on modelhost, asked over its HTTP API: what it holds, what serves, and a switch of that.

Its token is sent to this one address and shown nowhere. Redirects and the environment's proxies are not followed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from release.config.secret import Secret
from release.errors import ModelsError, Refused, ReleaseError, Superseded, UsageError
from release.models import sets
from release.models.base import Held, Switched, Verified

_EVERYWHERE = ("/status", "/v2/repository/index")  # every model API has these, whatever it serves
# What a service says of ways out in the words of HTTP, and earlier ones in those of code.
_TOGETHER = re.compile(r'with (?:"together": true|together=True) (these|its mates) go back')
_RESTORE = re.compile(r"restore it first(?: \(POST /restore/[^)]*\))?(?:, and promote it)?")
VERSION_HEADER = "X-Model-Version"
SET_HEADER = "X-Model-Set"
_TOKEN = (
    "put one into RELEASE_MODELS_TOKEN, or models.token of release.yaml; "
    "where the service runs, `python -m modelhost.http.tokens add NAME ROLE` makes one (viewer, operator, admin)"
)
_CONNECT_S = 5.0
_LOOK_S = 15.0
_SWITCH_S = 900.0  # it loads and warms up gigabytes before it answers


@dataclass(frozen=True)
class Address:
    """`url` of the service, `prefix` the path below which its model API is mounted, "" for none."""

    url: str
    prefix: str = ""
    token: Secret | None = None


class ModelService:
    """The questions and acts of the API, each with errors that are the toolkit's own."""

    def __init__(self, address: Address) -> None:
        self.url = address.url.rstrip("/")
        self._base = self.url + address.prefix.rstrip("/")
        self._token = address.token

    def held(self) -> list[Held]:
        """Every version that it knows of, each component's newest first."""
        serving = self.serving()
        index = self._ask("POST", "/v2/repository/index", {}, _LOOK_S)
        found = []
        for row in _rows(index, self._base):
            component, version = str(row.get("name", "")), str(row.get("version", ""))
            serves = serving.get(component) == version
            status = None if serves else str(row.get("reason", ""))  # the index says of what serves just that
            fits = str(row.get("digest", "")), _mapping(row.get("mates", {}), self._base)
            found.append(Held(component, version, str(row.get("state", "")), serves, status, *fits))
        return found

    def stand_ins(self) -> list[Held]:
        """What serves while no version of its component can: code of the service, in no registry."""
        return [
            Held(name, str(each.get("version", "")), "READY", True, "fallback")
            for name, each in self._serving().items()
            if each.get("fallback") is True
        ]

    def serving(self) -> dict[str, str]:
        """Component → the version that serves."""
        return {name: str(each.get("version", "")) for name, each in self._serving().items()}

    def sets(self) -> dict[str, list[str]]:
        """Set → its components, as the service's configuration has them."""
        found = _mapping(self._ask("GET", "/status", None, _LOOK_S), self._base).get("sets") or {}
        return {name: [str(each) for each in members] for name, members in _mapping(found, self._base).items()}

    def falls_back(self, component: str, version: str) -> bool:
        """Whether this is the stand-in that serves while no version can."""
        each = self._serving().get(component, {})
        return each.get("version") == version and each.get("fallback") is True

    def describe(self, component: str, version: str) -> dict[str, Any]:
        """What it tells of a version that may be asked for: inputs, outputs, its note."""
        path = f"/v2/models/{quote(component, safe='')}/versions/{quote(version, safe='')}"
        return _mapping(self._ask("GET", path, None, _LOOK_S), self._base)

    def load(self, component: str, version: str) -> bool:
        """Into memory, where requests may name it; of a cluster, into that of all members. False where it was there."""
        path = f"/v2/repository/models/{quote(component, safe='')}/load"
        told = self._ask("POST", path, {"parameters": {"version": version}}, _SWITCH_S)
        return _mapping(told, self._base).get("fresh") is True

    def unload(self, component: str, version: str) -> None:
        """Out of memory. Raises Refused for one that serves."""
        path = f"/v2/repository/models/{quote(component, safe='')}/unload"
        self._ask("POST", path, {"parameters": {"version": version}}, _LOOK_S)

    def in_memory(self, component: str, version: str) -> bool:
        """Whether the process that answers has it there, or brings it there, or a cluster holds it."""
        cluster = _mapping(self._ask("GET", "/status", None, _LOOK_S), self._base).get("cluster") or {}
        if any((row.get("component"), row.get("version")) == (component, version) for row in cluster.get("held", ())):
            return True
        here = [held for held in self.held() if (held.component, held.version) == (component, version)]
        return any(held.serves or held.state != "UNAVAILABLE" for held in here)

    def verify(self, component: str, version: str | None, full: bool) -> Verified:
        """What serves, or a version, against what was published; an operator's right. Raises UsageError."""
        named = {"version": version} if version is not None else {}
        path = f"/verify/{quote(component, safe='')}"
        told = _mapping(self._ask("POST", path, {"full": full, **named}, _SWITCH_S), self._base)
        number, differs = told.get("version"), told.get("differs")
        if not isinstance(number, str) or not isinstance(differs, list):
            raise _stranger(self._base)
        return Verified(component, number, tuple(str(each) for each in differs))

    def generation(self) -> int:
        """The number of the set that serves; in a cluster, of the one that all are to serve."""
        return self.standing()[0]

    def standing(self) -> tuple[int, list[str]]:
        """The generation, and the names of the members of its cluster that do not serve it."""
        status = _mapping(self._ask("GET", "/status", None, _LOOK_S), self._base)
        cluster, late = status.get("cluster") or {}, status.get("behind") or []
        found = cluster.get("generation", status.get("generation"))
        if not isinstance(found, int) or not all(isinstance(row, dict) for row in late):
            raise _stranger(self._base)
        return found, [str(row.get("member", "")) for row in late]

    def promote(self, versions: Mapping[str, str], reason: str, expect: int | None = None) -> dict[str, Any]:
        """Lets them serve as one set and marks them stable; what the service says of the switch. Raises Superseded
        where another generation serves than `expect`."""
        asked = {"versions": dict(versions), "reason": reason, **_expected(expect)}
        return _mapping(self._ask("POST", "/promote", asked, _SWITCH_S), self._base)

    def restore(self, component: str, version: str, reason: str) -> None:
        """Takes a rejection back. Raises Refused for what is not rejected."""
        asked = {"version": version, "reason": reason}
        self._ask("POST", f"/restore/{quote(component, safe='')}", asked, _LOOK_S)

    def rollback(
        self, component: str, to: str | None, reason: str, together: bool, expect: int | None = None
    ) -> dict[str, Any]:
        """To the version before or to `to`; `together`: its mates may go back with it. Raises Superseded."""
        target = {"to_version": to} if to is not None else {}
        asked = {"reason": reason, "together": together, **target, **_expected(expect)}
        return _mapping(self._ask("POST", f"/rollback/{quote(component, safe='')}", asked, _SWITCH_S), self._base)

    def _serving(self) -> dict[str, dict[str, Any]]:
        status = _mapping(self._ask("GET", "/status", None, _LOOK_S), self._base)
        serving = status.get("serving")
        if not isinstance(serving, dict) or not all(isinstance(each, dict) for each in serving.values()):
            raise _stranger(self._base)
        return serving

    def _ask(self, method: str, path: str, body: Any, seconds: float) -> Any:
        import requests

        with requests.Session() as session:
            session.trust_env = False
            if self._token is not None:
                session.headers["Authorization"] = f"Bearer {self._token.reveal()}"
            try:
                answer = session.request(
                    method, self._base + path, json=body, timeout=(_CONNECT_S, seconds), allow_redirects=False
                )
            except requests.Timeout as error:
                raise ModelsError(
                    f"{self._base} did not answer {method} {path} within {seconds:g} s",
                    hint="look at its log; `release models list --url …` shows how things stand",
                ) from error
            except (requests.RequestException, OSError, ValueError) as error:
                raise ModelsError(
                    f"{self._base} cannot be asked: {_cause(error)}", hint="is the service running, and the URL right?"
                ) from error
        return _read(answer.status_code, answer.content, self._base, path)


class ServiceBoard:
    """The `Board` and `Running` protocols over a service. `together`: a rollback may take mates along; `expect`: the
    generation that its switches are meant for, None for whichever serves."""

    def __init__(self, service: ModelService, *, together: bool = False, expect: int | None = None) -> None:
        self._service, self._together, self._expect = service, together, expect
        self.where = self.url = service.url

    @property
    def running(self) -> ServiceBoard:
        return self

    def number(self, component: str, version: str) -> str:
        wanted = version.strip().removeprefix("v")
        known = [held.version for held in self._service.held() if held.component == component]
        if wanted in known:
            return wanted
        if not known:
            there = ", ".join(self._service.serving()) or "none"
            named = "".join(f", and the set {name}" for name in self._service.sets())
            raise UsageError(f"{self.where} has no component {component}", hint=f"there is {there}{named}")
        raise UsageError(f"{self.where} knows no version {version} of {component}", hint=f"there is {', '.join(known)}")

    def current(self, component: str) -> str | None:
        return self._service.serving().get(component)

    def demand_expected(self) -> None:
        if self._expect is not None and (found := self._service.generation()) != self._expect:
            raise Superseded(
                f"generation {found} serves at {self.where}, and {self._expect} was expected",
                hint="somebody switched meanwhile; `release models list` shows what serves",
            )

    def members(self, name: str) -> tuple[str, ...]:
        return tuple(self._service.sets().get(name, ()))

    def with_members(self, versions: Mapping[str, str], members: Sequence[str]) -> dict[str, str]:
        return sets.followed(versions, members, self._service.held(), self._service.serving())

    def with_mates(self, versions: Mapping[str, str]) -> dict[str, str]:
        return sets.brought(versions, self._service.held(), self._service.serving())

    def demand_fit(self, versions: Mapping[str, str]) -> None:
        sets.demand_fit(versions, self._service.held(), self._service.serving())

    def is_so(self, versions: Mapping[str, str]) -> bool:
        serving = self._service.serving()
        return all(serving.get(component) == version for component, version in versions.items())

    def restore(self, component: str, version: str, who: str, why: str) -> bool:
        known = {(held.component, held.version): held.status for held in self._service.held()}
        if known.get((component, version)) != sets.REJECTED:
            return False
        self._service.restore(component, version, f"{why} (asked for by {who})")
        return True

    def promote(self, versions: Mapping[str, str], who: str, why: str) -> Switched:
        told = self._service.promote(versions, f"{why} (asked for by {who})", self._expect)
        before = {name: _before(told, name) for name in versions}
        after = {name: _after(told, name) for name in versions}
        lead, *others = versions
        text = f"{sets.spoken(after)} serve{'' if others else 's'}{' already' if before == after else ''}"
        if replaced := {name: version for name, version in before.items() if version not in (None, after[name])}:
            text += f", {sets.spoken(replaced)} before" if others else f", {replaced[lead]} before it"
        together = {name: (before[name], after[name]) for name in others}
        return Switched(before[lead], after[lead], before != after, _with_notes(text, told), together)

    def rollback(self, component: str, to: str | None, who: str, why: str) -> Switched:
        """`component` may be a set of the service's configuration: `before` and `after` are None then, and `others` has
        its members."""
        try:
            told = self._service.rollback(component, to, f"{why} (asked for by {who})", self._together, self._expect)
        except Refused as error:
            raise _as_command(error, component) from error
        moved = {name: (_before(told, name), _after(told, name)) for name in told.get("versions") or ()}
        moved = {name: (was, now) for name, (was, now) in moved.items() if was != now}
        before, after = _before(told, component), _after(told, component)
        own = {component: after} if after is not None else {name: now for name, (_, now) in moved.items()}
        text = _serve_again(own) if own else f"{component} is as it was"
        if component in (told.get("fallbacks") or ()):
            text = f"no stable version of {component} is left: its fallback serves"
        if left := told.get("rejected"):
            text += f"; {sets.spoken(left)} {'is' if len(left) == 1 else 'are'} rejected"
        others = {name: each for name, each in moved.items() if name != component}
        return Switched(before, after, bool(moved), _with_notes(text, told), others)

    def is_there(self, component: str, version: str) -> bool:
        return self._service.in_memory(component, version)

    def prepare(self, component: str, version: str) -> bool:
        return self._service.load(component, version)  # asked always: what one process holds, the next may not

    def leave(self, component: str, version: str) -> None:
        self._service.unload(component, version)

    def headers(self, versions: Mapping[str, str]) -> Mapping[str, str]:
        """None for a fallback that serves: it is in no registry, and nobody can name it."""
        lead, version = next(iter(versions.items()))
        return {} if self._service.falls_back(lead, version) else {VERSION_HEADER: version}

    def proof(self, versions: Mapping[str, str]) -> Mapping[str, str]:
        return {SET_HEADER: ", ".join(f"{name}={version}" for name, version in versions.items())}


def _read(status: int, content: bytes, base: str, path: str) -> Any:
    """The body of a good answer as JSON, None where there is none; else the error that it speaks of."""
    import json

    try:
        body = json.loads(content) if content.strip() else None
    except ValueError:
        body = None if 200 <= status < 300 else {}
        if 200 <= status < 300:
            raise _stranger(base) from None
    if 200 <= status < 300:
        return body
    if not isinstance(body, dict) or "kind" not in body or (status == 404 and path in _EVERYWHERE):
        raise ModelsError(
            f"{base} answers {path} with {status}, and not as a model API does",
            hint="name the address of a service on modelhost; `models.prefix` says where its API is mounted",
        )
    kind = Superseded if body["kind"] == "Superseded" else _error_of(status)
    error, hint = str(body.get("error", "")), str(body.get("hint") or "")
    error = error.removesuffix(f"; {hint}")  # below /v2 both stand in one, for clients that show no hint
    hint = _RESTORE.sub("promote it with --restore", hint)
    if status in (401, 403):
        error, hint = f"{base} refuses the token: {error}" if status == 403 else f"{base}: {error}", _TOKEN
    raise kind(error, hint=hint or None, reason=str(body["kind"]))


def _error_of(status: int) -> type[ReleaseError]:
    if status in (400, 404):
        return UsageError
    return Refused if status in (409, 422) else ModelsError


def _stranger(base: str) -> ModelsError:
    return ModelsError(f"what answers at {base} is no model API", hint="is it the right URL, and the right prefix?")


def _mapping(answer: Any, base: str) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise _stranger(base)
    return answer


def _rows(answer: Any, base: str) -> list[dict[str, Any]]:
    if not isinstance(answer, list) or not all(isinstance(row, dict) for row in answer):
        raise _stranger(base)
    return answer


def _serve_again(versions: Mapping[str, str | None]) -> str:
    return f"{sets.spoken(versions)} serve{'s' if len(versions) == 1 else ''} again"


def _as_command(error: Refused, component: str) -> Refused:
    """The way out that the service names, in the words of the command line."""
    command = f"`release models rollback {component} --together`"
    hint, known = _TOGETHER.subn(lambda found: f"{command} takes {found[1]} back", error.hint or "")
    if not known and error.context.get("reason") == sets.MISMATCH:
        hint = "no set that served fits; `release models promote` lets any versions serve that work together"
    return Refused(error.message, hint=hint or None, **error.context)


def _expected(generation: int | None) -> dict[str, int]:
    return {} if generation is None else {"expected_generation": generation}


def _before(told: Mapping[str, Any], component: str) -> str | None:
    before = told.get("before")
    return before.get(component) if isinstance(before, dict) else None


def _after(told: Mapping[str, Any], component: str) -> str | None:
    versions = told.get("versions")
    return versions.get(component) if isinstance(versions, dict) else None


def _with_notes(text: str, told: Mapping[str, Any]) -> str:
    return "; ".join([text, *(str(note) for note in told.get("notes") or ())])


def _cause(error: BaseException) -> str:
    text = str(error)
    for known in ("Connection refused", "Name or service not known", "Connection reset", "certificate verify failed"):
        if known in text:
            return known.lower()
    return f"{type(error).__name__}: {text[:200]}"
