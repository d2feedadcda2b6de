"""VSAY Terminal's paths, and what answers them."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from dragoman.actions.directory import Directory
from dragoman.dialects.vsay import accept, auth, invitations, users
from dragoman.dialects.vsay.errors import VOICE
from dragoman.dialects.vsay.limits import tell
from dragoman.dialects.vsay.policy import NARROWING
from dragoman.web import docs
from dragoman.web.calls import Contract, Endpoint, Handler
from dragoman.web.resource import Nowhere, Resource
from dragoman.web.routing import Paths

DOCUMENTED = re.compile(
    r"(?!/users/(?:login|register|logout)/?\Z)(?:/v1)?/(?:"
    r"users|users/[^/]+(?:/permissions)?|users/invitations/[^/]+(?:/(?:resend|accept))?"
    r"|auth/(?:login|refresh|logout|me))/?\Z"
)
"""The paths that this contract documents, where it stands at the root or on a host of its own.

Three that look like a user's are another contract's.
"""

OPENAPI = Path(__file__).with_name("openapi.yaml")
VERSION = "/v1"

CONTRACT = Contract(
    name="vsay",
    scheme="Bearer",
    kind=auth.KIND,
    narrowing=NARROWING,
    voice=VOICE,
    finish=tell,
    limits_users=True,
)


class Versioned(Paths):
    """Serves every path with and without ``/v1`` before it alike."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on without the version."""
        path: str = scope.get("path", "")
        root: str = scope.get("root_path", "")
        if scope["type"] == "http" and path.startswith(f"{root}{VERSION}/"):
            scope = {**scope, "path": root + path.removeprefix(root + VERSION)}
        await super().__call__(scope, receive, send)


def _public(handler: Handler) -> Endpoint:
    return Endpoint(handler, public=True)


def build(directory: Directory) -> Paths:
    """Return the contract as an ASGI application of its own."""

    def at(path: str, **endpoints: Endpoint | Handler) -> Route:
        return Route(path, Resource(directory, CONTRACT, **endpoints))

    page = Resource(
        directory,
        accept.LEAF.contract(CONTRACT),
        GET=_public(accept.show),
        POST=_public(accept.submit),
    )
    routes = [
        at("/users", GET=users.listing),
        at("/users/invite", POST=invitations.invite),
        at("/users/invitations", GET=invitations.listing),
        at(
            "/users/invitations/{invitation}",
            GET=_public(invitations.show),
            DELETE=invitations.revoke,
        ),
        at("/users/invitations/{invitation}/resend", POST=invitations.resend),
        at("/users/invitations/{invitation}/accept", POST=_public(invitations.accept)),
        at("/users/{id}", GET=users.retrieve, PUT=users.update, DELETE=users.remove),
        at("/users/{id}/permissions", PUT=users.set_access),
        at("/auth/login", POST=_public(auth.login)),
        at("/auth/refresh", POST=_public(auth.refresh)),
        at("/auth/logout", POST=auth.logout),
        at("/auth/me", GET=auth.me),
        Route("/accept/{secret}", page),
        *docs.routes(OPENAPI, "VSAY Terminal Users API", address=directory.settings.public_url),
    ]
    return Versioned(routes, Nowhere(directory, CONTRACT))
