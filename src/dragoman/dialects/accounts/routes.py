"""The paths of the accounts contract, and what answers them."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.routing import Route

from dragoman.actions.directory import Directory
from dragoman.dialects.accounts import auth, grants, users
from dragoman.dialects.accounts.errors import VOICE
from dragoman.dialects.accounts.policy import NARROWING
from dragoman.web import docs
from dragoman.web.calls import Contract, Endpoint, Handler
from dragoman.web.resource import Nowhere, Resource
from dragoman.web.routing import Paths

DOCUMENTED = re.compile(r"/api/users(/(signup|signin|[^/]+(/permissions)?))?/?\Z")
"""The paths that this contract documents, where it stands at the root or on a host of its own."""

OPENAPI = Path(__file__).with_name("openapi.yaml")

CONTRACT = Contract(
    name="accounts", scheme="Token", kind=auth.KIND, narrowing=NARROWING, voice=VOICE
)


def build(directory: Directory) -> Paths:
    """Return the contract as an ASGI application of its own."""

    def at(path: str, **endpoints: Endpoint | Handler) -> Route:
        return Route(path, Resource(directory, CONTRACT, **endpoints))

    routes = [
        at("/api/users", GET=users.listing),
        at("/api/users/signup", POST=Endpoint(auth.sign_up, public=True)),
        at("/api/users/signin", POST=Endpoint(auth.enter, public=True)),
        at(
            "/api/users/{id}",
            GET=Endpoint(users.retrieve, ahead="id"),
            PUT=users.put,
            DELETE=users.delete,
        ),
        at(
            "/api/users/{id}/permissions",
            GET=Endpoint(grants.listing, ahead="id"),
            PUT=grants.add,
            DELETE=grants.remove,
        ),
        *docs.routes(OPENAPI, "Accounts Users API", address=directory.settings.public_url),
    ]
    return Paths(routes, Nowhere(directory, CONTRACT))
