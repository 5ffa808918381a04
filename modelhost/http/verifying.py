"""`POST /verify/{component}`: an operator has what serves, or another version, compared with what was published."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from modelhost.host.verifying import Verifier
from modelhost.http.door import Door
from modelhost.http.roles import Role
from modelhost.http.route import Route


class Verification(BaseModel):
    """`version`: what serves, where it is left out; `full`: by sha256 rather than by the fast hash."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    full: bool = False


def routes(door: Door) -> APIRouter:
    """verify. One at a time, in a thread: serving, and other operators, keep the disk and the cores."""
    router = APIRouter(route_class=Route, tags=["operations"])
    host = door.host
    verifier = Verifier(host.registry, host.serving, lambda: host.settings)
    alone = asyncio.Lock()

    @router.post("/verify/{component}")
    async def verify(request: Request, component: str) -> dict[str, Any]:
        async with door.acting(request, Role.OPERATOR, "verify") as action:
            asked = await door.asked(request, Verification)
            action.target = {component: asked.version}
            async with alone:
                found = await door.apart(action.what, verifier.verify, component, asked.version, asked.full)
            action.target, action.error = {component: found.version}, "; ".join(found.differs)
        return {
            "component": found.component,
            "version": found.version,
            "full": found.full,
            "ok": found.ok,
            "differs": list(found.differs),
        }

    return router
