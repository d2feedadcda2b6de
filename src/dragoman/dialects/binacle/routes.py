"""Binacle's routes."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from dragoman.actions.directory import Directory
from dragoman.dialects.binacle import auth, users
from dragoman.dialects.binacle.errors import handle_error
from dragoman.dialects.binacle.policy import RESTRICTIONS
from dragoman.rules.errors import Unauthenticated
from dragoman.web import docs
from dragoman.web.calls import Call, Contract, Endpoint
from dragoman.web.errors import MethodNotAllowed
from dragoman.web.resource import NotFoundResource, Resource
from dragoman.web.routing import ContractApp

DOCUMENTED_PATHS = re.compile(r"/api/(auth/token|users(/[^/]+)?)/?\Z")
"""The contract's paths at the root of the server or of a host of its own."""

OPENAPI = Path(__file__).with_name("openapi.yaml")

CONTRACT = Contract(
    name="binacle",
    scheme="Bearer",
    credential_format=auth.CREDENTIAL_FORMAT,
    restrictions=RESTRICTIONS,
    handle_error=handle_error,
    sign_in=auth.SIGN_IN,
)


class MethodBeforeAuthResource(Resource):
    """A resource that rejects unsupported methods before it requires a credential.

    A valid token exempts a request from the rate limit of anonymous clients, also at public
    endpoints.
    """

    async def _respond(self, call: Call) -> Response:
        endpoint = self._endpoints.get(call.request.method)
        if endpoint is not None and not endpoint.public:
            return await super()._respond(call)
        visitor = call.actor
        with contextlib.suppress(Unauthenticated):
            await self._identify(call, None)  # raises RateLimited without a valid token
        if endpoint is None:
            raise MethodNotAllowed(call.request.method, self.methods)
        call.actor, call.user = visitor, None  # public endpoints ignore the token's user
        return await endpoint.handler(call)


def build(directory: Directory) -> ContractApp:
    """Return the contract as an ASGI application."""

    def route(path: str, **endpoints: Any) -> Route:
        return Route(path, MethodBeforeAuthResource(directory, CONTRACT, **endpoints))

    routes = [
        route("/api/auth/token", POST=Endpoint(auth.issue_token, public=True)),
        route("/api/users", POST=users.create),
        route(
            "/api/users/{email}", PUT=users.update, PATCH=users.set_password, DELETE=users.delete
        ),
        *docs.routes(OPENAPI, "Binacle.Net Users API", base_url=directory.settings.public_url),
    ]
    return ContractApp(routes, NotFoundResource(directory, CONTRACT))
