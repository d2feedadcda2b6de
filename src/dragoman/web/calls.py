"""One request as a dialect sees it: who calls, what came in, and how its answer leaves."""

from __future__ import annotations

import contextlib
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dragoman.actions.directory import Directory
from dragoman.actions.tokens import Kind
from dragoman.rules.errors import Failure, Limited, NotFound, Unauthenticated, Unavailable
from dragoman.rules.model import Actor, User
from dragoman.rules.policy import Narrowing
from dragoman.store.engine import Read, Tx
from dragoman.web import headers, limits
from dragoman.web.admission import ADMISSION
from dragoman.web.answers import complete
from dragoman.web.bodies import LATE
from dragoman.web.credentials import authenticate
from dragoman.web.health import ANSWERS
from dragoman.web.logs import UNSAID, log

Handler = Callable[["Call"], Awaitable[Response]]
Voice = Callable[["Call", Exception], Response]

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def new_id() -> str:
    """Return an id for a request: 32 hex digits, to be told apart and no secret."""
    return f"{random.getrandbits(128):032x}"


class MethodNotAllowed(Failure):
    """This path has no such method; ``allowed`` are those that it has."""

    def __init__(self, method: str, allowed: tuple[str, ...]) -> None:
        super().__init__(method)
        self.method = method
        self.allowed = allowed


class BrokenOff(Exception):  # noqa: N818 - a fact of the wire
    """An answer that had begun cannot be finished; the server ends the connection."""


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """What a dialect tells the web floor about itself.

    ``scheme`` is the word in the Authorization header, ``kind`` what its credentials look like,
    ``narrowing`` its policy, ``voice`` puts every error into its words. ``finish`` adds to an
    answer what all of this contract's carry; ``limits_users`` takes who has signed in to the
    settings' rate as well.
    """

    name: str
    scheme: str
    kind: Kind
    narrowing: Narrowing
    voice: Voice
    finish: Callable[[Call, Response], None] | None = None
    limits_users: bool = False


class Endpoint(msgspec.Struct, frozen=True):
    """A handler; ``public`` ones need no credential; ``ahead`` is the path's user id, if any."""

    handler: Handler
    public: bool = False
    ahead: str = ""


class Call:
    """A request at a contract. ``actor`` is a visitor until a credential says who it is.

    ``names`` says what this request's form calls the directory's fields, for its errors; a handler
    whose errors are worded otherwise than the contract's sets ``voice``.
    """

    def __init__(self, request: Request, directory: Directory, contract: Contract) -> None:
        self.request = request
        self.directory = directory
        self.contract = contract
        given = headers.values(request.scope, b"x-request-id")
        self.request_id = given[0] if given and _SANE_ID.fullmatch(given[0]) else new_id()
        self.address = limits.address_of(request, directory.settings)
        self.names: Mapping[str, str] = {}
        self.voice = contract.voice
        self.user: User | None = None
        self.ahead: User | None = None
        self.actor = Actor(
            kind="visitor",
            contract=contract.name,
            narrowing=contract.narrowing,
            request_id=self.request_id,
            address=self.address,
        )

    @property
    def path(self) -> str:
        """The path as it was requested, prefix and slash included."""
        return self.request.scope.get("dragoman.path") or self.request.scope["path"]

    @property
    def params(self) -> Mapping[str, str]:
        """The path's parameters."""
        return self.request.path_params

    def number(self, name: str) -> int:
        """Return a path parameter that is an id; raises NotFound where it can be none."""
        return number_of(self.params[name]) or _no_such_thing()

    def read(self) -> Read:
        """Read on the caller's behalf."""
        return self.directory.read(self.actor, self.ahead or self.user)

    def begin(self) -> AbstractAsyncContextManager[Tx]:
        """Open the transaction of this request."""
        return self.directory.begin(self.actor)


def _no_such_thing() -> int:
    raise NotFound


def number_of(text: str) -> int:
    """Return the positive 64-bit number that a text is, or 0."""
    if text.isascii() and text.isdigit() and len(text) <= 19:
        number = int(text)
        return number if number < 2**63 else 0
    return 0


class Resource:
    """A path: which method does what. An ASGI application, the endpoint of one route."""

    def __init__(
        self, directory: Directory, contract: Contract, **endpoints: Endpoint | Handler
    ) -> None:
        self._directory = directory
        self._contract = contract
        self._endpoints = {
            method: endpoint if isinstance(endpoint, Endpoint) else Endpoint(endpoint)
            for method, endpoint in endpoints.items()
        }
        self._public = all(e.public for e in self._endpoints.values())

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that it answers, in the order given."""
        return tuple(self._endpoints)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: whatever happens, in the dialect's words."""
        began = time.perf_counter()
        request = Request(scope, receive)
        call = Call(request, self._directory, self._contract)
        try:
            ADMISSION.enter(self._directory.hashing.gate.inside + LATE.count)
            try:
                response = await self._answer(call)
            finally:
                ADMISSION.leave()
        except ClientDisconnect:
            return
        except Exception as fault:  # noqa: BLE001 - whatever it is, the dialect answers it
            response = call.voice(call, fault)
            _note(call, fault)
        if self._contract.finish is not None:
            self._contract.finish(call, response)
        complete(response.raw_headers)
        response.raw_headers.append((b"x-request-id", call.request_id.encode()))
        if request.method == "HEAD":
            response = await _headless(response)
        try:
            await response(scope, receive, send)
        except ClientDisconnect:
            return
        except Exception as fault:  # noqa: BLE001 - whatever it is, no more can be told
            _note(call, fault)  # in the middle of a streamed answer: it has to be cut off
            raise BrokenOff from None
        finally:
            ANSWERS.count(self._contract.name, request.method, response.status_code, began)
            if self._directory.settings.access_log:
                _write_access(call, response, began)

    async def _answer(self, call: Call) -> Response:
        method = call.request.method
        endpoint = self._endpoints.get("GET" if method == "HEAD" else method)
        if endpoint.public if endpoint else self._public:
            limits.take(call.directory.settings, call.address)
        else:
            await self._identify(call, endpoint)
        if endpoint is None:
            raise MethodNotAllowed(method, self.methods)
        return await endpoint.handler(call)

    async def _identify(self, call: Call, endpoint: Endpoint | None) -> None:
        ahead = number_of(call.params.get(endpoint.ahead, "")) if endpoint else 0
        try:
            await authenticate(call, ahead)
        except Unauthenticated:
            limits.take(call.directory.settings, call.address)
            raise
        if call.contract.limits_users:
            limits.take_of_user(call.directory.settings, call.actor.user_id)


async def _headless(response: Response) -> Response:
    """Return an answer without its body; one that is streamed has no length to tell."""
    bare = Response(None, response.status_code)
    bare.raw_headers = response.raw_headers
    stream: Any = getattr(response, "body_iterator", None)
    if stream is not None and hasattr(stream, "aclose"):
        await stream.aclose()
    return bare


class Nowhere(Resource):
    """Every path that a contract does not have, by whatever method."""

    async def _answer(self, call: Call) -> Response:
        with contextlib.suppress(Unauthenticated):  # without a credential it counts, like any other
            await self._identify(call, None)
        raise NotFound


def _note(call: Call, fault: Exception) -> None:
    """Log what a person should see: our bugs loudly, refusals and overload in one line."""
    known = {
        "request_id": call.request_id,
        "contract": call.contract.name,
        "method": call.request.method,
        "route": route_of(call),
        "actor": call.actor.user_id,
        "address": call.address,
    }
    if not isinstance(fault, Failure):
        log.error("bug", error=type(fault).__name__, **known, exc_info=fault)
    elif isinstance(fault, Unavailable):
        if (unsaid := UNSAID.due(str(fault))) is not None:
            log.warning("unavailable", what=str(fault), unsaid=unsaid, **known)
    elif isinstance(fault, Limited):
        log.warning("limited", retry_after=fault.retry_after, **known)
    else:
        log.info("refused", fact=type(fault).__name__, detail=_safe(fault), **known)


def _safe(fault: Failure) -> str:
    reason = getattr(fault, "reason", None) or getattr(fault, "why", None)
    return str(reason or "")


def route_of(call: Call) -> str:
    """Return the route's pattern, never the path: paths may carry secrets."""
    route: Any = call.request.scope.get("route")
    return getattr(route, "path", "")


def _write_access(call: Call, response: Response, began: float) -> None:
    log.info(
        "request",
        request_id=call.request_id,
        contract=call.contract.name,
        method=call.request.method,
        route=route_of(call),
        status=response.status_code,
        actor=call.actor.user_id,
        ms=round((time.perf_counter() - began) * 1000, 2),
    )
