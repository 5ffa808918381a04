"""Triton's repository API: what there is, into memory, out of memory. A load switches nothing: `promote` does that.

In a cluster, load and unload reach all members, and the index is that of the member which answers.

`load` takes the newest stable version, or one that `?version=` names, `parameters.version`, or a Triton model
configuration with `version_policy.specific`. Whatever is in memory may be asked for by its number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict

from modelhost.errors import InvalidRequest, Unknown
from modelhost.host.host import ModelHost
from modelhost.http.control import Control
from modelhost.http.door import Door
from modelhost.http.roles import Role
from modelhost.http.route import ProtocolRoute
from modelhost.registry.base import LATEST


class Index(BaseModel):
    """`ready`: only what is in memory."""

    model_config = ConfigDict(extra="ignore")
    ready: bool = False


class Repository(BaseModel):
    """The body of a load or unload."""

    model_config = ConfigDict(extra="ignore")
    parameters: dict[str, Any] = {}


def routes(door: Door, control: Control) -> APIRouter:
    """Index for viewers; load and unload for operators, into the audit trail. A load answers which version it was, and
    whether it is `fresh`: not there, or not held there, before."""
    router = APIRouter(route_class=ProtocolRoute, tags=["repository"])
    host = door.host

    @router.post("/v2/repository/index")
    async def index(request: Request) -> list[dict[str, Any]]:
        await door.demand(request, Role.VIEWER)
        asked = await door.asked(request, Index)
        return await door.apart("index", _index, host, asked.ready)

    @router.post("/v2/repository/models/{name}/load")
    async def load(request: Request, name: str) -> dict[str, Any]:
        async with door.acting(request, Role.OPERATOR, "load") as action:
            asked = await door.asked(request, Repository)
            version = _version(request, asked.parameters) or LATEST
            action.target, action.why = {name: version}, request.query_params.get("reason", "")
            await door.begun(action)
            brought = await door.apart(action.what, control.load, name, version, who=action.who)
            action.target = {name: brought.version}
        return asdict(brought)

    @router.post("/v2/repository/models/{name}/unload")
    async def unload(request: Request, name: str) -> Response:
        async with door.acting(request, Role.OPERATOR, "unload") as action:
            asked = await door.asked(request, Repository)
            version = _version(request, asked.parameters)
            action.target, action.why = {name: version or "all"}, request.query_params.get("reason", "")
            await door.apart(action.what, control.unload, name, version, who=action.who)
        return Response()

    return router


def _index(host: ModelHost, only_ready: bool) -> list[dict[str, Any]]:
    """One item for each version: READY in memory, LOADING, UNAVAILABLE with its status else. `digest` and `mates` say
    what fits together."""
    resident = {(each.component, each.version) for each in host.pool.residents()}
    loading = set(host.pool.loading())
    serving = host.serving.live.serving()
    found = []
    for name in host.settings.components:
        try:
            entries = host.registry.versions(name)
        except Unknown:
            continue
        for entry in entries:
            key = name, entry.version
            state = "READY" if key in resident else "LOADING" if key in loading else "UNAVAILABLE"
            if only_ready and state != "READY":
                continue
            serves = serving is not None and serving.versions.get(name) == entry.version
            reason = "serves" if serves else str(entry.status)
            row = {"name": name, "version": entry.version, "state": state, "reason": reason}
            found.append({**row, "digest": entry.info.digest, "mates": dict(entry.info.mates)})
    return found


def _version(request: Request, parameters: Mapping[str, Any]) -> str | None:
    if any(key.startswith("file:") for key in parameters):
        raise InvalidRequest("weights are not taken from a request", "publish a version in the registry")
    named = [request.query_params.get("version"), parameters.get("version"), _configured(parameters.get("config"))]
    versions = [each for each in named if each]
    if any(not isinstance(each, str) or each != versions[0] for each in versions):
        raise InvalidRequest("the request names no one version", "name one, as text: 1.2.0")
    return versions[0] if versions else None


def _configured(config: Any) -> Any:
    """The version that a Triton model configuration names, by `version_policy.specific.versions`."""
    if config is None:
        return None
    try:
        document = json.loads(config)
        versions = document.get("version_policy", {}).get("specific", {}).get("versions", [])
        parameter = document.get("parameters", {}).get("version")
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidRequest("parameters.config is no model configuration", "it is JSON as text") from error
    if isinstance(parameter, dict):
        parameter = parameter.get("string_value")
    if not versions:
        return parameter
    if not isinstance(versions, list) or len(versions) > 1:
        raise InvalidRequest("a load brings one version", "name one, in a list")
    return str(versions[0])
