"""A host behind HTTP, to be mounted into any FastAPI application: `ModelHttp(host).install(app)`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypedDict, Unpack

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exception_handlers import http_exception_handler
from starlette.exceptions import HTTPException

from modelhost.cluster.membership import Membership
from modelhost.errors import ConfigError, ModelHostError
from modelhost.host.host import UPKEEP_SECONDS, ModelHost
from modelhost.host.request import Request as Models
from modelhost.host.upkeep import Upkeep
from modelhost.host.watch import Answered, LoadFailure, Reloaded
from modelhost.http import agreement, answers, ending, operations, repository, v2, verifying
from modelhost.http.agreement import Agreement
from modelhost.http.audit import Action
from modelhost.http.control import Control
from modelhost.http.door import MOST_BYTES, MOST_JSON_BYTES, STICKY_HEADER, Door
from modelhost.http.headers import headers_of
from modelhost.http.inference import Infer
from modelhost.http.metrics import CONTENT_TYPE, PROCESSES_FOLDER, Metrics
from modelhost.http.processes import HERE, Processes
from modelhost.http.replicas import ClusterControl
from modelhost.http.roles import Caller, Role
from modelhost.http.route import Route
from modelhost.http.siblings import AloneControl, Siblings
from modelhost.loading.base import Loaded, Loader
from modelhost.routing import logs
from modelhost.routing.features import Value
from modelhost.routing.request import RequestFacts, api_major


class HostOptions(TypedDict, total=False):
    """See ModelHost.open."""

    environ: Mapping[str, str]
    state: Path | str
    workers: int
    fallbacks: Iterable[Loaded]
    keep_previous: bool
    hangup: bool
    upkeep_seconds: float


class ModelHttp:
    """`router` has all endpoints; `facts`, `headers` and `demand` are for endpoints of a service's own.

    `infer`: component → what asks its model by tensors, where the model has no `infer(inputs)` of its own. `inference`
    and `metrics`: the role that these need, None for anybody. `membership`: the host's place in a cluster, all of which
    it switches then; `close` leaves it. `control`: who carries out switches otherwise. `sticky`: the header by whose
    value an experiment assigns. `wait`: seconds that a request for a version which is not in memory waits for it.
    `most_bytes` of a body, `most_json` of the JSON in it: larger tensors are sent as binary data. `upkeep_seconds`
    between two looks for other processes behind the same port. Raises ConfigError
    for a file of tokens that cannot be read, and for an audit trail that cannot be written.
    """

    def __init__(
        self,
        host: ModelHost,
        *,
        infer: Mapping[str, Infer] | None = None,
        inference: Role | None = None,
        metrics: Role | None = None,
        membership: Membership | None = None,
        control: Control | None = None,
        sticky: str = STICKY_HEADER,
        wait: float | None = 0.0,
        most_bytes: int = MOST_BYTES,
        most_json: int = MOST_JSON_BYTES,
        upkeep_seconds: float = UPKEEP_SECONDS,
    ) -> None:
        self.host = host
        self.door = Door(host, most_bytes=most_bytes, most_json=most_json, sticky=sticky)
        self.door.prepare(host.settings)
        host.configuration.follow("http", self.door.prepare)
        self.membership = membership
        self._processes = Processes(
            host.serving.history.path.with_name(PROCESSES_FOLDER),
            lambda: self.metrics.packed(),
            hearers={
                HERE: lambda asker, _: asker.sendall(b"serves" if host.serving.live.serving() else b""),
                agreement.WORD: lambda asker, rest: together.hear(asker, rest),
            },
        )
        self._ending = ending.Ending()
        together = Agreement(host, self._processes, self._ending)
        self.siblings = Siblings(self._processes, follows=bool(membership or control), workers=host.workers)
        alone = AloneControl(host, self.siblings.demand_none)
        self.control = control or (alone if membership is None else ClusterControl(membership))
        self.metrics = Metrics(host, self.control, self._processes, membership.follower.name if membership else "")
        self._processes.start()
        self._ends = (host.watch(self._heard), Upkeep(self.siblings.look, upkeep_seconds).close, self._processes.close)
        self.router = APIRouter(responses={"default": {"model": answers.Problem, "description": "What went wrong"}})
        routers = [
            v2.routes(self.door, self.control, infer or {}, inference, wait),
            repository.routes(self.door, self.control),
            operations.routes(self.door, self.control, self.siblings, together),
            verifying.routes(self.door),
            self._metrics_route(metrics),
        ]
        for each in routers:
            self.router.include_router(each)
        self._paths = [route.path for each in routers for route in each.routes if isinstance(route, Route)]

    @classmethod
    def open(
        cls,
        configuration: Path | str,
        loaders: Mapping[str, Loader],
        *,
        infer: Mapping[str, Infer] | None = None,
        inference: Role | None = None,
        metrics: Role | None = None,
        sticky: str = STICKY_HEADER,
        wait: float | None = 0.0,
        most_bytes: int = MOST_BYTES,
        most_json: int = MOST_JSON_BYTES,
        **host: Unpack[HostOptions],
    ) -> ModelHttp:
        """A host on one YAML file, behind HTTP; `loaders` and the options of `host` are those of `ModelHost.open`.

        Without a section `cluster` it serves when this returns. With one it is a member, which loads what is committed
        while this returns, and is ready when it serves that; open it in the process that serves, after any fork.
        Raises what `ModelHost.open` and `Membership.start` raise.
        """
        opened = ModelHost.open(configuration, loaders, start=False, **host)
        membership: Membership | None = None
        made: ModelHttp | None = None
        try:
            if opened.settings.cluster is not None:
                membership = Membership.of(opened)
            made = cls(
                opened,
                infer=infer,
                inference=inference,
                metrics=metrics,
                membership=membership,
                sticky=sticky,
                wait=wait,
                most_bytes=most_bytes,
                most_json=most_json,
                upkeep_seconds=host.get("upkeep_seconds", UPKEEP_SECONDS),
            )
            (membership or opened).start()  # after that: what a start has to tell is counted too
            return made
        except BaseException:
            if membership is not None:
                membership.close()
            if made is not None:
                made._end()
            opened.close(0.0)
            raise

    def install(self, app: FastAPI, prefix: str = "") -> None:
        """Mounts the endpoints, and lets every error of modelhost be an answer, also in the service's endpoints.

        So is what leads nowhere below its paths; a handler of HTTPException that an application has is asked about
        everything else.
        """
        app.include_router(self.router, prefix=prefix)
        app.add_exception_handler(ModelHostError, answers.handle)
        own = {"/" + path.split("/")[1] for path in self._paths}
        before = app.exception_handlers.get(HTTPException, http_exception_handler)
        app.add_exception_handler(HTTPException, answers.nowhere(prefix, own, before))

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """For `FastAPI(lifespan=…)`: `serving`, and the host is closed after the last request that is answered."""
        with self.serving(app):
            try:
                yield
            finally:
                self.close()

    @contextmanager
    def serving(self, app: FastAPI) -> Iterator[None]:
        """For a lifespan of a service's own, around its `yield`; `close` comes after that.

        Meanwhile every log line of a request names version and variant, the server's own too, and a signal to end is
        told to what waits for other processes. Raises Unavailable, so that no server begins, in a fork of the process
        that opened the host.
        """
        self.host.process.demand()
        with logs.marking(app), ending.told(self._ending.begin):
            yield

    def close(self) -> None:
        """Leaves the cluster, where it is in one, counts nothing any more, and closes the host. Nothing is done in a
        fork of the process that opened it: what is shown to others is that one's."""
        if not self.host.process.is_here:
            return
        self._ending.begin()
        if self.membership is not None:
            self.membership.close()
        self._end()
        self.host.close()

    def _end(self) -> None:
        self.metrics.close()
        for end in self._ends:
            end()

    async def facts(self, request: Request, *, key: str | None = None, **features: Value) -> RequestFacts:
        """What routing may know of a request: `facts(request, text_length=len(text))`.

        The version from `?version=` or X-Model-Version, the API from the path, the role from a verified token, the
        sticky key from its header where `key` is not given. Raises InvalidRequest, Unauthenticated.
        """
        return await self.door.facts(request, api=api_major(request.url.path), key=key, features=features)

    async def demand(self, request: Request, role: Role) -> Caller:
        """Who calls, with this role or more. Raises Unauthenticated, Forbidden."""
        caller = await self.door.demand(request, role)
        assert caller is not None  # a role was demanded
        return caller

    def headers(self, models: Models) -> dict[str, str]:
        """What an answer says of itself: version, set, generation, variant, confidence, the id of the request."""
        return headers_of(models)

    def _heard(self, what: Answered | LoadFailure | Reloaded) -> None:
        """A reload that a signal asked for belongs into the audit trail as those of the API do."""
        if isinstance(what, Reloaded):
            outcome = what.outcome
            action = Action("reload", who="signal", why=what.who, target=list(outcome.changed), error=outcome.error)
            if not outcome.ok:
                action.result, action.status = "refused", ConfigError.status
            self.door.audit.write(action)

    def _metrics_route(self, role: Role | None) -> APIRouter:
        router = APIRouter(route_class=Route, tags=["metrics"])

        @router.get("/metrics")
        async def metrics(request: Request) -> Response:
            await self.door.demand(request, role)
            return Response(await self.door.apart("metrics", self.metrics.text), media_type=CONTENT_TYPE)

        return router
