"""Resource: dispatches a path's methods, renders errors, and finalises and logs responses."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from structlog.contextvars import clear_contextvars, get_contextvars

from dragoman.actions.directory import Directory
from dragoman.rules.client_addresses import client_network
from dragoman.rules.errors import (
    DirectoryError,
    NotFound,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from dragoman.web import rate_limits
from dragoman.web.calls import Call, Contract, Endpoint, Handler, parse_positive_int
from dragoman.web.errors import MethodNotAllowed
from dragoman.web.logs import log, throttle
from dragoman.web.metrics import RequestCounter
from dragoman.web.responses import add_security_headers


class ResponseAborted(Exception):
    """A response failed after its headers were sent; the server closes the connection."""


class Resource:
    """One path of a contract: an ASGI application that maps methods to endpoints.

    Args:
        directory: the application's shared state.
        contract: the contract to which the path belongs.
        endpoints: an endpoint for each method; a bare handler requires a credential.
    """

    def __init__(
        self, directory: Directory, contract: Contract, **endpoints: Endpoint | Handler
    ) -> None:
        self._directory = directory
        self._contract = contract
        self._endpoints = {
            method: endpoint if isinstance(endpoint, Endpoint) else Endpoint(endpoint)
            for method, endpoint in endpoints.items()
        }
        self.request_counter = RequestCounter(directory.metrics, contract.name)
        self._all_public = all(e.public for e in self._endpoints.values())

    @property
    def methods(self) -> tuple[str, ...]:
        """The supported methods, in the given order."""
        return tuple(self._endpoints)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; the contract renders every error."""
        started = time.perf_counter()
        if self._directory.settings.access_log:
            clear_contextvars()  # of an earlier request in the same task
        request = Request(scope, receive)
        call = Call(request, self._directory, self._contract)
        try:
            response = await self._respond(call)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - the contract answers every error
            response = call.handle_error(call, error)
            _log_error(call, error)
        if self._contract.finalize_response is not None:
            await self._contract.finalize_response(call, response)
        add_security_headers(response.raw_headers)
        response.raw_headers.append((b"x-request-id", call.request_id.encode()))
        if request.method == "HEAD":
            response = await _without_body(response)
        try:
            await response(scope, receive, send)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - too late for an error response
            _log_error(call, error)
            raise ResponseAborted from None
        finally:
            self.request_counter.observe(scope, response.status_code, started)
            if self._directory.settings.access_log:
                _log_access(call, response, started)

    async def _respond(self, call: Call) -> Response:
        method = call.request.method
        endpoint = self._endpoints.get("GET" if method == "HEAD" else method)
        if endpoint.public if endpoint else self._all_public:
            await rate_limits.hit(call.directory.settings, call.address)
        else:
            await self._identify(call, endpoint)
        if endpoint is None:
            raise MethodNotAllowed(method, self.methods)
        return await endpoint.handler(call)

    async def _identify(self, call: Call, endpoint: Endpoint | None) -> None:
        prefetch_id = (
            parse_positive_int(call.path_params.get(endpoint.prefetch_param, "")) if endpoint else 0
        )
        try:
            await call.identify(prefetch_id)
        except Unauthenticated:
            await rate_limits.hit(call.directory.settings, call.address)
            raise
        if call.contract.rate_limit_users:
            await rate_limits.hit_user(call.directory.settings, call.actor.user_id)


async def _without_body(response: Response) -> Response:
    """Return the response to HEAD; a streamed response has no Content-Length."""
    head_response = Response(None, response.status_code)
    head_response.raw_headers = response.raw_headers
    stream: Any = getattr(response, "body_iterator", None)
    if stream is not None and hasattr(stream, "aclose"):
        await stream.aclose()
    return head_response


class NotFoundResource(Resource):
    """Answers every path that a contract does not have, for all methods."""

    async def _respond(self, call: Call) -> Response:
        # Requests without a valid credential count against the rate limit here as well.
        with contextlib.suppress(Unauthenticated):
            await self._identify(call, None)
        raise NotFound


def _log_error(call: Call, error: Exception) -> None:
    """Log bugs with their stack, everything else in one line, at most once a second for each caller."""
    context = {
        "request_id": call.request_id,
        "contract": call.contract.name,
        "method": call.request.method,
        "route": route_pattern(call),
        "actor": call.actor.user_id,
        "address": call.address,
    }
    if not isinstance(error, DirectoryError):
        log.error("bug", error=type(error).__name__, **context, exc_info=error)
    elif isinstance(error, Unavailable):
        if (suppressed := throttle.should_log(str(error))) is not None:
            log.warning("unavailable", what=str(error), unsaid=suppressed, **context)
    elif isinstance(error, RateLimited):
        if (
            suppressed := throttle.should_log(f"limited {client_network(call.address)}")
        ) is not None:
            log.warning("limited", retry_after=error.retry_after, unsaid=suppressed, **context)
    else:
        fact, detail = type(error).__name__, _loggable_reason(error)
        caller = f"{call.actor.user_id} {client_network(call.address)}"
        key = f"refused {fact} {detail} {call.request.method} {context['route']} {caller}"
        if (suppressed := throttle.should_log(key)) is not None:
            log.info("refused", fact=fact, detail=detail, unsaid=suppressed, **context)


def _loggable_reason(error: DirectoryError) -> str:
    return str(getattr(error, "reason", None) or "")


def route_pattern(call: Call) -> str:
    """Return the pattern of the matched route, or ""; paths themselves may contain secrets."""
    route: Any = call.request.scope.get("route")
    return getattr(route, "path", "")


def _log_access(call: Call, response: Response, started: float) -> None:
    log.info(
        "request",
        request_id=call.request_id,
        contract=call.contract.name,
        method=call.request.method,
        route=route_pattern(call),
        status=response.status_code,
        actor=call.actor.user_id,
        **get_contextvars().get("became", {}),
        ms=round((time.perf_counter() - started) * 1000, 2),
    )
