"""WiWebb's paths, and what answers them."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.routing import Route

from dragoman.actions.directory import Directory
from dragoman.dialects.wiwebb import auth, reset, tenants, users
from dragoman.dialects.wiwebb.errors import VOICE
from dragoman.dialects.wiwebb.policy import NARROWING
from dragoman.web import docs
from dragoman.web.calls import Contract, Endpoint, Handler
from dragoman.web.resource import Nowhere, Resource
from dragoman.web.routing import Paths

DOCUMENTED = re.compile(r"/api/v1(/|\Z)")
"""The paths that this contract documents, where it stands at the root or on a host of its own."""

OPENAPI = Path(__file__).with_name("openapi.yaml")

CONTRACT = Contract(name="wiwebb", scheme="Token", kind=auth.KIND, narrowing=NARROWING, voice=VOICE)


def _public(handler: Handler) -> Endpoint:
    return Endpoint(handler, public=True)


def build(directory: Directory) -> Paths:
    """Return the contract as an ASGI application of its own."""

    def at(path: str, **endpoints: Endpoint | Handler) -> Route:
        return Route(path, Resource(directory, CONTRACT, **endpoints))

    page = Resource(
        directory,
        reset.LEAF.contract(CONTRACT),
        GET=_public(reset.show),
        POST=_public(reset.submit),
    )
    routes = [
        at(
            "/api/v1/users/{id}",
            GET=Endpoint(users.retrieve, ahead="id"),
            PUT=users.put,
            PATCH=users.patch,
            DELETE=users.delete,
        ),
        at("/api/v1/users", GET=users.listing, POST=users.create),
        at("/api/v1/users/{id}/assign-role", POST=users.assign_role),
        at("/api/v1/users/{id}/set-password", POST=users.set_password),
        at("/api/v1/users/{id}/activate", POST=users.activate),
        at("/api/v1/auth/login", POST=_public(auth.login)),
        at("/api/v1/auth/logout", POST=auth.logout),
        at("/api/v1/auth/registration", POST=_public(auth.register)),
        at("/api/v1/auth/user", GET=auth.me, PUT=auth.put_me, PATCH=auth.patch_me),
        at("/api/v1/auth/password/change", POST=auth.change_password),
        at("/api/v1/auth/password/reset", POST=_public(auth.request_reset)),
        at("/api/v1/auth/password/reset/confirm", POST=_public(auth.confirm_reset)),
        at("/api/v1/tenants", GET=tenants.listing, POST=tenants.create),
        at("/api/v1/tenants/me", GET=tenants.own),
        at(
            "/api/v1/tenants/{id}",
            GET=tenants.retrieve,
            PUT=tenants.put,
            PATCH=tenants.patch,
            DELETE=tenants.delete,
        ),
        Route("/reset/{uid}/{secret}", page),
        *docs.routes(OPENAPI, "WiWebb Users API", address=directory.settings.public_url),
    ]
    return Paths(routes, Nowhere(directory, CONTRACT))
