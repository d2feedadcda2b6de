"""Wekan's routes."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.routing import Route

from dragoman.actions.directory import Directory
from dragoman.dialects.wekan import auth, tokens, users
from dragoman.dialects.wekan.errors import handle_error
from dragoman.dialects.wekan.policy import RESTRICTIONS
from dragoman.web import docs
from dragoman.web.calls import Contract, Endpoint, Handler
from dragoman.web.resource import NotFoundResource, Resource
from dragoman.web.routing import ContractApp

DOCUMENTED_PATHS = re.compile(
    r"(/users/(login|register|logout)"
    r"|/api/(user(/[^/]+)?|users(/[^/]+(/boards)?)?|boards|createtoken/[^/]+|deletetoken))/?\Z"
)
"""The contract's paths at the root of the server or of a host of its own."""

OPENAPI = Path(__file__).with_name("openapi.yaml")

CONTRACT = Contract(
    name="wekan",
    scheme="Bearer",
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
        route("/api/users/{id}", GET=users.retrieve, PUT=users.set_active, DELETE=users.delete),
        route("/api/users", GET=users.list_users, POST=users.create),
        route("/api/user", GET=users.me),
        route("/api/user/{id}", PUT=users.set_active),
        route("/users/login", POST=Endpoint(auth.login, public=True)),
        route("/users/register", POST=Endpoint(auth.register, public=True)),
        route("/users/logout", POST=auth.logout),
        route("/api/createtoken/{id}", POST=tokens.create),
        route("/api/deletetoken", POST=tokens.revoke),
        route("/api/boards", GET=users.boards),
        route("/api/users/{id}/boards", GET=users.boards),
        *docs.routes(OPENAPI, "Wekan Users API", base_url=directory.settings.public_url),
    ]
    return ContractApp(routes, NotFoundResource(directory, CONTRACT))
