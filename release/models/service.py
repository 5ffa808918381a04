"""A service that runs on modelhost, asked over its HTTP API: what it holds, what serves, and a switch of that.

Its token is sent to this one address and shown nowhere. Redirects and the environment's proxies are not followed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from release.config.secret import Secret
from release.errors import ModelsError
from release.models.base import Held, Verified
from release.models.replies import mapping, read, rows, stranger

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
        for row in rows(index, self._base):
            component, version = str(row.get("name", "")), str(row.get("version", ""))
            serves = serving.get(component) == version
            status = None if serves else str(row.get("reason", ""))  # the index says of what serves just that
            fits = str(row.get("digest", "")), mapping(row.get("mates", {}), self._base)
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
        found = mapping(self._ask("GET", "/status", None, _LOOK_S), self._base).get("sets") or {}
        return {name: [str(each) for each in members] for name, members in mapping(found, self._base).items()}

    def falls_back(self, component: str, version: str) -> bool:
        """Whether this is the stand-in that serves while no version can."""
        each = self._serving().get(component, {})
        return each.get("version") == version and each.get("fallback") is True

    def describe(self, component: str, version: str) -> dict[str, Any]:
        """What it tells of a version that may be asked for: inputs, outputs, its note."""
        path = f"/v2/models/{quote(component, safe='')}/versions/{quote(version, safe='')}"
        return mapping(self._ask("GET", path, None, _LOOK_S), self._base)

    def load(self, component: str, version: str) -> bool:
        """Into memory, where requests may name it; of a cluster, into that of all members. False where it was there."""
        path = f"/v2/repository/models/{quote(component, safe='')}/load"
        told = self._ask("POST", path, {"parameters": {"version": version}}, _SWITCH_S)
        return mapping(told, self._base).get("fresh") is True

    def unload(self, component: str, version: str) -> None:
        """Out of memory. Raises Refused for one that serves."""
        path = f"/v2/repository/models/{quote(component, safe='')}/unload"
        self._ask("POST", path, {"parameters": {"version": version}}, _LOOK_S)

    def in_memory(self, component: str, version: str) -> bool:
        """Whether the process that answers has it there, or brings it there, or a cluster holds it."""
        cluster = mapping(self._ask("GET", "/status", None, _LOOK_S), self._base).get("cluster") or {}
        if any((row.get("component"), row.get("version")) == (component, version) for row in cluster.get("held", ())):
            return True
        here = [held for held in self.held() if (held.component, held.version) == (component, version)]
        return any(held.serves or held.state != "UNAVAILABLE" for held in here)

    def verify(self, component: str, version: str | None, full: bool) -> Verified:
        """What serves, or a version, against what was published; an operator's right. Raises UsageError."""
        named = {"version": version} if version is not None else {}
        path = f"/verify/{quote(component, safe='')}"
        told = mapping(self._ask("POST", path, {"full": full, **named}, _SWITCH_S), self._base)
        number, differs = told.get("version"), told.get("differs")
        if not isinstance(number, str) or not isinstance(differs, list):
            raise stranger(self._base)
        return Verified(component, number, tuple(str(each) for each in differs))

    def generation(self) -> int:
        """The number of the set that serves; in a cluster, of the one that all are to serve."""
        return self.standing()[0]

    def standing(self) -> tuple[int, list[str]]:
        """The generation, and the names of the members of its cluster that do not serve it."""
        status = mapping(self._ask("GET", "/status", None, _LOOK_S), self._base)
        cluster, late = status.get("cluster") or {}, status.get("behind") or []
        found = cluster.get("generation", status.get("generation"))
        if not isinstance(found, int) or not all(isinstance(row, dict) for row in late):
            raise stranger(self._base)
        return found, [str(row.get("member", "")) for row in late]

    def promote(self, versions: Mapping[str, str], reason: str, expect: int | None = None) -> dict[str, Any]:
        """Lets them serve as one set and marks them stable; what the service says of the switch. Raises Superseded
        where another generation serves than `expect`."""
        asked = {"versions": dict(versions), "reason": reason, **_expected(expect)}
        return mapping(self._ask("POST", "/promote", asked, _SWITCH_S), self._base)

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
        return mapping(self._ask("POST", f"/rollback/{quote(component, safe='')}", asked, _SWITCH_S), self._base)

    def _serving(self) -> dict[str, dict[str, Any]]:
        status = mapping(self._ask("GET", "/status", None, _LOOK_S), self._base)
        serving = status.get("serving")
        if not isinstance(serving, dict) or not all(isinstance(each, dict) for each in serving.values()):
            raise stranger(self._base)
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
        return read(answer.status_code, answer.content, self._base, path)


def _expected(generation: int | None) -> dict[str, int]:
    return {} if generation is None else {"expected_generation": generation}


def _cause(error: BaseException) -> str:
    text = str(error)
    for known in ("Connection refused", "Name or service not known", "Connection reset", "certificate verify failed"):
        if known in text:
            return known.lower()
    return f"{type(error).__name__}: {text[:200]}"
