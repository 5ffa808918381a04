"""Switches for operators, and where the service stands for viewers. Every switch goes into the audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from modelhost.errors import ConfigError, InvalidRequest
from modelhost.http.agreement import Agreement
from modelhost.http.control import Control, Switched, past
from modelhost.http.door import Door
from modelhost.http.roles import Role
from modelhost.http.route import Route
from modelhost.http.siblings import Siblings
from modelhost.http.standing import standing
from modelhost.registry.base import Status
from modelhost.serving.asked import Asked

_MOST_RECORDS = 1000
Text = Annotated[str, Field(min_length=1, max_length=2000)]
Number = Annotated[str, Field(min_length=1, max_length=100)]
Generation = Annotated[int, Field(ge=0)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Switch(_Asked):
    """`expected_generation`: what the caller has seen serve. Where another does, nothing happens, and the answer is a
    409 with the generation and the versions that serve."""

    reason: Text
    expected_generation: Generation | None = None


class Promotion(_Switch):
    """`versions`: component → version or `latest`, which flip as one set."""

    versions: dict[str, Number] = Field(min_length=1)


class OnePromotion(_Switch):
    """A version of the component in the path; of a set, one of its first component, which brings its mates."""

    version: Number


class Restoration(_Asked):
    """A rejected version that may be promoted again."""

    version: Number
    reason: Text


class Rollback(_Switch):
    """`to_version`, or for everything `to_generation`: where to; what served before and is stable by default.

    `together`: its mates may go back too.
    """

    to_version: Number | None = None
    to_generation: Generation | None = None
    together: bool = False


class Nothing(_Asked):
    """A body without keys, but for a reason."""

    reason: str = Field(default="", max_length=2000)


def routes(door: Door, control: Control, siblings: Siblings, together: Agreement) -> APIRouter:
    """promote, rollback, restore, status, history, reload."""
    router = APIRouter(route_class=Route, tags=["operations"])
    host = door.host

    async def promoted(request: Request, component: str | None) -> Response:
        async with door.acting(request, Role.OPERATOR, "promote") as action:
            versions: Mapping[str, str]
            asked: Promotion | OnePromotion
            if component is None:
                asked = await door.asked(request, Promotion)
                versions = asked.versions
            else:
                asked = await door.asked(request, OnePromotion)
                versions = {component: asked.version}
            action.target, action.why = dict(versions), asked.reason
            expected = asked.expected_generation
            await door.begun(action)
            switched = await door.apart(
                action.what, control.promote, versions, who=action.who, why=asked.reason, expected_generation=expected
            )
            action.generation = switched.generation
            if members := host.settings.sets.get(component or ""):
                action.target = {name: switched.versions[name] for name in members if name in switched.versions}
        return _answer(switched)

    async def rolled_back(request: Request, component: str | None) -> Response:
        async with door.acting(request, Role.OPERATOR, "rollback") as action:
            asked = await door.asked(request, Rollback)
            where_to = asked.to_version if asked.to_generation is None else f"generation {asked.to_generation}"
            action.target, action.why = {component or "all": where_to}, asked.reason
            if component is None and asked.to_version is not None:
                raise InvalidRequest("a version belongs to a component", "POST to /rollback/<component>")
            if asked.to_version is not None and asked.to_generation is not None:
                raise InvalidRequest("a version and a generation are two targets", "name one of them")
            back = Asked(component, asked.to_version, asked.to_generation, asked.together)
            expected = asked.expected_generation
            await door.begun(action)
            switched = await door.apart(
                action.what, control.rollback, back, who=action.who, reason=asked.reason, expected_generation=expected
            )
            action.target, action.generation = dict(switched.versions), switched.generation
        return _answer(switched)

    @router.post("/promote")
    async def promote_set(request: Request) -> Response:
        return await promoted(request, None)

    @router.post("/promote/{component}")
    async def promote(request: Request, component: str) -> Response:
        return await promoted(request, component)

    @router.post("/rollback")
    async def roll_set_back(request: Request) -> Response:
        return await rolled_back(request, None)

    @router.post("/rollback/{component}")
    async def roll_back(request: Request, component: str) -> Response:
        return await rolled_back(request, component)

    @router.post("/restore/{component}")
    async def restore(request: Request, component: str) -> dict[str, str]:
        async with door.acting(request, Role.OPERATOR, "restore") as action:
            asked = await door.asked(request, Restoration)
            action.target, action.why = {component: asked.version}, asked.reason
            number = await door.apart(
                action.what, host.restore, component, asked.version, who=action.who, why=asked.reason
            )
            action.target = {component: number}
        return {"component": component, "version": number, "status": str(Status.UNSTABLE)}

    @router.post("/configuration/reload")
    async def reload(request: Request) -> dict[str, Any]:
        async with door.acting(request, Role.ADMIN, "reload") as action:
            action.why = (await door.asked(request, Nothing)).reason
            await door.begun(action)
            outcome, processes = await door.apart(action.what, together.reload, action.who, action.why)
            action.target = list(outcome.changed)
            if not outcome.ok:
                raise ConfigError(outcome.error, f"generation {outcome.generation} of the configuration stays")
        return {
            "generation": outcome.generation,
            "changed": list(outcome.changed),
            "warnings": list(outcome.warnings),
            "processes": processes,
        }

    @router.get("/status")
    async def status(request: Request) -> dict[str, Any]:
        await door.demand(request, Role.VIEWER)
        return await door.apart("status", standing, host, control, siblings)

    @router.get("/history")
    async def history(
        request: Request, limit: Annotated[int, Query(ge=1, le=_MOST_RECORDS)] = 50
    ) -> list[dict[str, Any]]:
        await door.demand(request, Role.VIEWER)

        def look() -> list[dict[str, Any]]:
            return past(host.serving.history.records(), of_members=host.settings.cluster is not None)

        return (await door.apart("history", look))[: -limit - 1 : -1]

    return router


def _answer(switched: Switched) -> Response:
    content = {"generation": switched.generation, "versions": dict(switched.versions), **switched.detail}
    return JSONResponse(content)
