"""Routes of the accounts contract."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.routing import Route

from dragoman.actions.directory import Directory
from dragoman.dialects.accounts import auth, permissions, users
from dragoman.dialects.accounts.errors import handle_error
from dragoman.dialects.accounts.policy import RESTRICTIONS
from dragoman.web import docs
from dragoman.web.calls import Contract, Endpoint, Handler
from dragoman.web.resource import NotFoundResource, Resource
from dragoman.web.routing import ContractApp

DOCUMENTED_PATHS = re.compile(r"/api/users(/(signup|signin|[^/]+(/permissions)?))?/?\Z")
"""The contract's paths at the root of the server or of a host of its own."""

OPENAPI = Path(__file__).with_name("openapi.yaml")

CONTRACT = Contract(
    name="accounts",
    scheme="Token",
    credential_format=auth.CREDENTIAL_FORMAT,
    restrictions=RESTRICTIONS,
    handle_error=handle_error,
    sign_in=auth.SIGN_IN,
)


def build(directory: Directory) -> ContractApp:
    """Return the contract as an ASGI application."""

    def route(path: str, **endpoints: Endpoint | Handler) -> Route:
        return Route(path, Resource(directory, CONTRACT, **endpoints))

    routes = [
        route("/api/users", GET=users.list_users),
        route("/api/users/signup", POST=Endpoint(auth.register, public=True)),
        route("/api/users/signin", POST=Endpoint(auth.login, public=True)),
        route(
            "/api/users/{id}",
            GET=Endpoint(users.retrieve, prefetch_param="id"),
            PUT=users.put,
            DELETE=users.delete,
        ),
        route(
            "/api/users/{id}/permissions",
            GET=Endpoint(permissions.list_permissions, prefetch_param="id"),
            PUT=permissions.grant,
            DELETE=permissions.revoke,
        ),
        *docs.routes(OPENAPI, "Accounts Users API", base_url=directory.settings.public_url),
    ]
    return ContractApp(routes, NotFoundResource(directory, CONTRACT))
