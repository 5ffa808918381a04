"""The endpoints of the Open Inference Protocol, version 2. A model is a component, a version one of its versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from modelhost.errors import Unavailable, Unknown
from modelhost.host.host import ModelHost
from modelhost.http import inference
from modelhost.http.control import Control
from modelhost.http.door import Door
from modelhost.http.headers import headers_of
from modelhost.http.inference import HEADER_LENGTH, Infer
from modelhost.http.roles import Role
from modelhost.http.route import ProtocolRoute
from modelhost.metadata import Tensor
from modelhost.registry.base import Entry
from modelhost.routing.offers import Offer
from modelhost.routing.router import not_public
from modelhost.serving.sets import ServingSet

NAME = "modelhost"
_LARGE_BYTES = 256 << 10
EXTENSIONS = ("model_repository", "binary_tensor_data")


def routes(
    door: Door, control: Control, infer: Mapping[str, Infer], inference_role: Role | None, wait: float | None
) -> APIRouter:
    """`infer`: component → what asks its model by tensors; by default the model's own `infer(inputs)`."""
    router = APIRouter(route_class=ProtocolRoute, tags=["inference"])
    host = door.host

    @router.get("/v2")
    async def server() -> dict[str, Any]:
        return {"name": NAME, "version": str(host.serving.live.generation), "extensions": list(EXTENSIONS)}

    @router.get("/v2/health/live")
    async def live() -> Response:
        return Response()

    @router.get("/v2/health/ready")
    async def ready() -> Response:
        host.process.demand()
        if why := await door.aside(control.why_not_ready):
            raise Unavailable(why, "ask again")
        return Response()

    @router.get("/v2/models/stats")
    @router.get("/v2/models/{name}/stats")
    @router.get("/v2/models/{name}/versions/{version}/stats")
    async def statistics() -> Response:
        raise Unknown("statistics are not offered here", "GET /metrics has them, per component and version")

    @router.get("/v2/models/{name}/config")
    @router.get("/v2/models/{name}/versions/{version}/config")
    async def configuration() -> Response:
        raise Unknown("model configurations are not offered here", "GET /v2/models/<model> has inputs and outputs")

    @router.get("/v2/models/{name}")
    @router.get("/v2/models/{name}/versions/{version}")
    async def model(request: Request, name: str, version: str | None = None) -> dict[str, Any]:
        await door.demand(request, inference_role)
        return _described(host, name, _found(host, name, version))

    @router.get("/v2/models/{name}/ready")
    @router.get("/v2/models/{name}/versions/{version}/ready")
    async def model_ready(request: Request, name: str, version: str | None = None) -> Response:
        await door.demand(request, inference_role)
        if not (found := _found(host, name, version)).resident:
            raise Unavailable(f"{name} {found.version} is not in memory", "it loads at its first request")
        return Response()

    @router.post("/v2/models/{name}/infer")
    @router.post("/v2/models/{name}/versions/{version}/infer")
    async def ask(request: Request, name: str, version: str | None = None) -> Response:
        await door.demand(request, inference_role)
        _known(host, name)
        facts = await door.facts(request, version=version)
        content = await door.content(request)
        about = _about(host, name, facts.version)
        read = door.read if len(content) > _LARGE_BYTES else run_in_threadpool
        asked = await read(inference.read, content, request.headers.get(HEADER_LENGTH), door.most_json)
        if about in host.settings.routing and host.settings.routing[about].rules:
            length = await read(inference.text_length, asked)
            facts = replace(facts, features={} if length is None else {"text_length": length})
        async with host.request(facts, about, wait) as models:
            recorded = host.settings.http.record is not None
            answer = await run_in_threadpool(inference.answer, asked, models, name, infer.get(name), recorded)
            answer.headers.update(headers_of(models))
            return answer

    return router


def _about(host: ModelHost, name: str, version: str | None) -> str:
    """A named version is one of this component; what is not named is decided for the set that it flips with."""
    if version is not None or name in host.settings.routing:
        return name
    sets = [each for each, members in host.settings.sets.items() if name in members and each in host.settings.routing]
    return sets[0] if sets else name


def _known(host: ModelHost, name: str) -> None:
    if name not in host.settings.components:
        raise Unknown(f"no model {name!r:.80}", f"there is {', '.join(host.settings.components)}")


def _live(host: ModelHost) -> ServingSet:
    return host.serving.live.serving() or ServingSet(0, ())


def _found(host: ModelHost, name: str, version: str | None) -> Offer:
    """What the public may know of: the version that serves, or one that it may name."""
    _known(host, name)
    offers = host.shelf.offers(name, _live(host))
    if version is None:
        if offers.default is None:
            raise Unavailable(f"{name} has no version that serves", "try again in a moment")
        return offers.versions[offers.default]
    offer = offers.named(version)
    if offer is not None and not offer.public:
        raise not_public(offers, offer)
    if offer is None:
        there = ", ".join(each.version for each in offers.newest())
        raise Unknown(f"{name} has no version {version!r:.80} to ask for", f"there is {there or 'none'}")
    return offer


def _described(host: ModelHost, name: str, offer: Offer) -> dict[str, Any]:
    live = _live(host)
    entry = _entry(host, name, offer.version, live)
    public = host.shelf.offers(name, live).newest()
    return {
        "name": name,
        "versions": [each.version for each in public],
        "platform": entry.info.loader,
        "inputs": [_tensor(each) for each in entry.info.interface.inputs],
        "outputs": [_tensor(each) for each in entry.info.interface.outputs],
        "parameters": {"version": entry.version, "shape": entry.info.interface.shape, "note": entry.info.note},
    }


def _entry(host: ModelHost, name: str, version: str, live: ServingSet) -> Entry:
    if name in live and live[name].version == version:
        return live[name].entry
    for entry in host.shelf.entries(name):
        if entry.version == version:
            return entry
    raise Unknown(f"{name} {version} has left", "ask again")


def _tensor(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
