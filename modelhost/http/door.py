"""Before anything is done: who calls, may they, and what goes into the audit trail. What a request says, as facts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from anyio import CancelScope, CapacityLimiter, current_time, to_thread
from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from modelhost.config.model import Settings
from modelhost.config.reload import Prepared
from modelhost.errors import Forbidden, InvalidRequest, ModelHostError, Unauthenticated, mistakes
from modelhost.host.host import ModelHost
from modelhost.host.reloading import Nothing
from modelhost.http import closing
from modelhost.http.answers import TooLarge, id_of
from modelhost.http.audit import Action, Audit, Strangers
from modelhost.http.roles import Caller, Role
from modelhost.http.tokens import Tokens, is_ours
from modelhost.routing.features import Value
from modelhost.routing.request import HEADER, RequestFacts, explicit_version

AUDIT_FILE = "audit.jsonl"
MOST_BYTES = 64 << 20
MOST_JSON_BYTES = 8 << 20
STICKY_HEADER = "X-User-Id"
_CONTROL_BYTES = 64 << 10
_THREADS = 8
_NAMED = 100
_LONGEST_NUMBER = 20
Asked = TypeVar("Asked", bound=BaseModel)
P = ParamSpec("P")
T = TypeVar("T")


class Door:
    """Shared by all endpoints of one host. `sticky`: the header whose value an experiment assigns by."""

    def __init__(
        self,
        host: ModelHost,
        *,
        most_bytes: int = MOST_BYTES,
        most_json: int = MOST_JSON_BYTES,
        sticky: str = STICKY_HEADER,
    ) -> None:
        self.host = host
        self.most_bytes = most_bytes
        self.most_json = most_json
        self.sticky = sticky
        self._tokens: Tokens | None = None
        self._audit: Audit | None = None
        self._limiters: dict[str, CapacityLimiter] = {}
        self._readers: CapacityLimiter | None = None
        self._strangers = Strangers()

    async def read(self, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Runs the reading of a large body in a thread; two at once, as each takes many times its size of memory."""
        if self._readers is None:
            self._readers = CapacityLimiter(2)
        return await to_thread.run_sync(partial(work, *arguments, **options), limiter=self._readers)

    async def aside(self, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Runs what blocks for a moment, as a file of tokens does, in one of a few threads of its own: nobody queues
        behind inference."""
        return await self.apart("aside", work, *arguments, **options)

    async def apart(self, what: str, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Runs what may wait for long, in threads that are for this kind of work alone: whatever loads, nobody waits
        for it who asks for health, shows a token or rolls back."""
        limiter = self._limiters.get(what)
        if limiter is None:
            limiter = self._limiters[what] = CapacityLimiter(_THREADS)
        return await to_thread.run_sync(partial(work, *arguments, **options), limiter=limiter)

    # -- who calls -------------------------------------------------------------------------------------------------

    @property
    def tokens(self) -> Tokens | None:
        """The tokens that the running configuration names; None where it names none."""
        path = self.host.settings.http.tokens
        if path is None:
            return None
        if self._tokens is None or self._tokens.path != path:
            self._tokens = Tokens(path)
        return self._tokens

    @property
    def audit(self) -> Audit:
        """The trail that the running configuration names; beside the history where it names none."""
        path: Path = self.host.settings.http.audit or self.host.serving.history.path.with_name(AUDIT_FILE)
        if self._audit is None or self._audit.path != path:
            self._audit = Audit(path)
        return self._audit

    def prepare(self, new: Settings, old: Settings | None = None) -> Prepared:
        """For a start and for a reload that names other files. Raises ConfigError for tokens that cannot be read, and
        for a trail that cannot be written: where nothing is named, there are none, and it lies beside the history."""
        if old is None or new.http != old.http:
            if new.http.tokens is not None:
                Tokens(new.http.tokens).demand()
            if new.http.audit is not None:
                Audit(new.http.audit).demand_file()
        return Nothing()

    async def caller(self, request: Request) -> Caller | None:
        """Whom the bearer token belongs to, None without one of ours: a proxy's password, or a token of somebody else,
        says nothing of who calls here. Raises Unauthenticated for one that is written as ours are and is nobody's: who
        sends it means to be known, and is better told than taken for anybody."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not is_ours(token):
            return None
        tokens = self.tokens
        if tokens is None:
            raise Unauthenticated("this service knows no tokens", "name a file of tokens in its configuration")
        caller = await self.aside(tokens.caller, token)
        if caller is None:
            raise Unauthenticated("nobody has this token", "ask an administrator for one")
        return caller

    async def demand(self, request: Request, role: Role | None) -> Caller | None:
        """The caller, who has this role or more. Raises Unauthenticated, Forbidden. None as a role: anybody."""
        caller = await self.caller(request)
        if role is None:
            return caller
        if caller is None:
            foreign = "Authorization" in request.headers
            raise Unauthenticated(
                f"this needs a token of the role {role}{', and what was sent is none of ours' if foreign else ''}",
                "send it as `Authorization: Bearer <token>`",
            )
        if caller.role < role:
            has, needs = caller.role.with_article, role.with_article
            raise Forbidden(f"{caller.name} is {has}, and this needs {needs}", "ask an administrator")
        return caller

    # -- acts ------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def acting(self, request: Request, role: Role, what: str) -> AsyncIterator[Action]:
        """An act that goes into the audit trail, whatever becomes of it. The block fills in target, why and generation,
        and calls `begun` before what may take long."""
        action = Action(what, request.client.host if request.client else "")
        try:
            self.host.process.demand()
            caller = await self.demand_noted(request, role, action)
            action.who, action.role = caller.name, str(caller.role)
            await self.aside(self.audit.demand)
            yield action
        except ModelHostError as error:
            action.result = "failed" if error.status >= 500 else "refused"
            action.status, action.error = error.status, str(error)
            raise
        except BaseException as error:
            action.result, action.status, action.error = "failed", 500, f"{type(error).__name__}: {error}"
            raise
        finally:
            action.at = datetime.now(UTC)
            if action.who or self._strangers.admit(action):
                await self.aside(self.audit.write, action)

    async def begun(self, action: Action) -> None:
        """A line before its end: who is killed in the middle has left one."""
        await self.aside(self.audit.write, action.begun())

    async def demand_noted(self, request: Request, role: Role, action: Action) -> Caller:
        """`demand`, which leaves in the action who was refused, and at what."""
        action.target = _target(request)
        caller = await self.caller(request)
        if caller is not None:
            action.who, action.role = caller.name, str(caller.role)
        allowed = await self.demand(request, role)
        assert allowed is not None  # a role was demanded
        return allowed

    # -- what a request says ---------------------------------------------------------------------------------------

    async def content(self, request: Request, most: int | None = None) -> bytes:
        """The body, as long as it is not too large; of one that is, no more is read than a small excess that comes
        soon. Raises TooLarge, InvalidRequest for an encoding."""
        most = self.most_bytes if most is None else most
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise InvalidRequest("the body is compressed", "send it as it is")
        too_large = partial(TooLarge, f"the body is larger than {most} bytes", "send less at once")
        if _announced(request) > most + closing.EXCESS_BYTES:
            raise too_large(is_unread=True)
        parts: list[bytes] = []
        size = 0
        with CancelScope() as reading:
            try:
                async for part in request.stream():
                    size += len(part)
                    if size > most + closing.EXCESS_BYTES:
                        raise too_large(is_unread=True)
                    if size > most:
                        parts.clear()
                        reading.deadline = min(reading.deadline, current_time() + closing.EXCESS_SECONDS)
                    else:
                        parts.append(part)
            except ClientDisconnect as error:
                raise InvalidRequest("the caller left before the body was whole") from error
        if size > most:
            raise too_large(is_unread=reading.cancelled_caught)
        return b"".join(parts)

    async def asked(self, request: Request, kind: type[Asked]) -> Asked:
        """The body of an act, as a model. Raises InvalidRequest that names each mistake."""
        content = await self.content(request, _CONTROL_BYTES)
        try:
            return kind.model_validate_json(content or b"{}")
        except ValidationError as error:
            raise InvalidRequest(
                f"the request cannot be read: {mistakes(error.errors(), 'the body')}",
                f"keys: {', '.join(kind.model_fields)}",
            ) from None

    async def facts(
        self,
        request: Request,
        *,
        api: int | None = None,
        key: str | None = None,
        version: str | None = None,
        features: Mapping[str, Value] | None = None,
    ) -> RequestFacts:
        """What routing may know. `version`: where the path names one; the role comes from a verified token alone."""
        caller = await self.caller(request)
        asked = explicit_version(request.query_params.get("version"), request.headers.get(HEADER))
        if version is not None and asked is not None and version != asked:
            raise InvalidRequest("the path and the request name two versions", "name one of them")
        return RequestFacts(
            version=version or asked,
            api=api,
            key=key or request.headers.get(self.sticky) or None,
            role=caller.verified if caller else None,
            features=features or {},
            id=id_of(request),
        )


def _announced(request: Request) -> int:
    said = request.headers.get("Content-Length", "")
    return int(said) if said.isascii() and said.isdecimal() and len(said) < _LONGEST_NUMBER else 0


def _target(request: Request) -> dict[str, str | None] | None:
    """What the path names, for an act that is refused before its body is read."""
    name = request.path_params.get("component") or request.path_params.get("name")
    return {name[:_NAMED]: request.query_params.get("version", "")[:_NAMED] or None} if name else None
