"""Wekan's paths, and what answers them."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.routing import Route

from dragoman.actions.directory import Directory
from dragoman.dialects.wekan import auth, keys, users
from dragoman.dialects.wekan.errors import VOICE
from dragoman.dialects.wekan.policy import NARROWING
from dragoman.web import docs
from dragoman.web.calls import Contract, Endpoint, Handler
from dragoman.web.resource import Nowhere, Resource
from dragoman.web.routing import Paths

DOCUMENTED = re.compile(
    r"(/users/(login|register|logout)"
    r"|/api/(user(/[^/]+)?|users(/[^/]+(/boards)?)?|boards|createtoken/[^/]+|deletetoken))/?\Z"
)
"""The paths that this contract documents, where it stands at the root or on a host of its own."""

OPENAPI = Path(__file__).with_name("openapi.yaml")

CONTRACT = Contract(name="wekan", scheme="Bearer", kind=auth.KIND, narrowing=NARROWING, voice=VOICE)


def build(directory: Directory) -> Paths:
    """Return the contract as an ASGI application of its own."""

    def at(path: str, **endpoints: Endpoint | Handler) -> Route:
        return Route(path, Resource(directory, CONTRACT, **endpoints))

    routes = [
        at("/api/users/{id}", GET=users.retrieve, PUT=users.switch, DELETE=users.delete),
        at("/api/users", GET=users.listing, POST=users.create),
        at("/api/user", GET=users.me),
        at("/api/user/{id}", PUT=users.switch),
        at("/users/login", POST=Endpoint(auth.login, public=True)),
        at("/users/register", POST=Endpoint(auth.register, public=True)),
        at("/users/logout", POST=auth.logout),
        at("/api/createtoken/{id}", POST=keys.create),
        at("/api/deletetoken", POST=keys.end),
        at("/api/boards", GET=users.boards),
        at("/api/users/{id}/boards", GET=users.boards),
        *docs.routes(OPENAPI, "Wekan Users API", address=directory.settings.public_url),
    ]
    return Paths(routes, Nowhere(directory, CONTRACT))
