"""A path of a contract: which method does what, and how a response leaves."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dragoman.actions.directory import Directory
from dragoman.rules.errors import Failure, Limited, NotFound, Unauthenticated, Unavailable
from dragoman.web import rate_limits
from dragoman.web.admission import ADMISSION
from dragoman.web.bodies import LATE
from dragoman.web.calls import Call, Contract, Endpoint, Handler, number_of
from dragoman.web.errors import MethodNotAllowed
from dragoman.web.logs import UNSAID, log
from dragoman.web.metrics import ANSWERS
from dragoman.web.responses import complete


class BrokenOff(Exception):  # noqa: N818 - a fact of the wire
    """An answer that had begun cannot be finished; the server ends the connection."""


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
            rate_limits.take(call.directory.settings, call.address)
        else:
            await self._identify(call, endpoint)
        if endpoint is None:
            raise MethodNotAllowed(method, self.methods)
        return await endpoint.handler(call)

    async def _identify(self, call: Call, endpoint: Endpoint | None) -> None:
        ahead = number_of(call.params.get(endpoint.ahead, "")) if endpoint else 0
        try:
            await call.identify(ahead)
        except Unauthenticated:
            rate_limits.take(call.directory.settings, call.address)
            raise
        if call.contract.limits_users:
            rate_limits.take_of_user(call.directory.settings, call.actor.user_id)


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
