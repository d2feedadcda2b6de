"""Binacle's paths, and what answers them."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from dragoman.actions.directory import Directory
from dragoman.dialects.binacle import auth, users
from dragoman.dialects.binacle.errors import VOICE
from dragoman.dialects.binacle.policy import NARROWING
from dragoman.rules.errors import Unauthenticated
from dragoman.web import docs
from dragoman.web.calls import Call, Contract, Endpoint
from dragoman.web.errors import MethodNotAllowed
from dragoman.web.resource import Nowhere, Resource
from dragoman.web.routing import Paths

DOCUMENTED = re.compile(r"/api/(auth/token|users(/[^/]+)?)/?\Z")
"""The paths that this contract documents, where it stands at the root or on a host of its own."""

OPENAPI = Path(__file__).with_name("openapi.yaml")

CONTRACT = Contract(
    name="binacle", scheme="Bearer", kind=auth.KIND, narrowing=NARROWING, voice=VOICE
)


class MethodFirst(Resource):
    """A path that refuses the methods it does not have with or without a credential.

    Whoever sends a valid token is not limited, where none is needed neither.
    """

    async def _answer(self, call: Call) -> Response:
        endpoint = self._endpoints.get(call.request.method)
        if endpoint is not None and not endpoint.public:
            return await super()._answer(call)
        visitor = call.actor
        with contextlib.suppress(Unauthenticated):
            await self._identify(call, None)  # raises Limited for who has no valid token
        if endpoint is None:
            raise MethodNotAllowed(call.request.method, self.methods)
        call.actor, call.user = visitor, None  # whoever's token it is, a visitor signs in
        return await endpoint.handler(call)


def build(directory: Directory) -> Paths:
    """Return the contract as an ASGI application of its own."""

    def at(path: str, **endpoints: Any) -> Route:
        return Route(path, MethodFirst(directory, CONTRACT, **endpoints))

    routes = [
        at("/api/auth/token", POST=Endpoint(auth.token, public=True)),
        at("/api/users", POST=users.create),
        at("/api/users/{email}", PUT=users.update, PATCH=users.set_password, DELETE=users.delete),
        *docs.routes(OPENAPI, "Binacle.Net Users API", address=directory.settings.public_url),
    ]
    return Paths(routes, Nowhere(directory, CONTRACT))
