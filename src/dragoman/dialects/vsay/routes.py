"""VSAY Terminal's routes."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from dragoman.actions.directory import Directory
from dragoman.dialects.vsay import accept_page, auth, invitations, users
from dragoman.dialects.vsay.errors import handle_error
from dragoman.dialects.vsay.policy import RESTRICTIONS
from dragoman.dialects.vsay.rate_limits import add_rate_limit_headers
from dragoman.web import docs
from dragoman.web.calls import Contract, Endpoint, Handler
from dragoman.web.resource import NotFoundResource, Resource
from dragoman.web.routing import ContractApp

DOCUMENTED_PATHS = re.compile(
    r"(?!/users/(?:login|register|logout)/?\Z)(?:/v1)?/(?:"
    r"users|users/[^/]+(?:/permissions)?|users/invitations/[^/]+(?:/(?:resend|accept))?"
    r"|auth/(?:login|refresh|logout|me))/?\Z"
)
"""The contract's paths at the root of the server or of a host of its own.

The lookahead excludes three paths of another contract that look like a user's.
"""

OPENAPI = Path(__file__).with_name("openapi.yaml")
VERSION_PREFIX = "/v1"

CONTRACT = Contract(
    name="vsay",
    scheme="Bearer",
    credential_format=auth.CREDENTIAL_FORMAT,
    restrictions=RESTRICTIONS,
    handle_error=handle_error,
    sign_in=auth.SIGN_IN,
    finalize_response=add_rate_limit_headers,
    rate_limit_users=True,
)


class VersionedContractApp(ContractApp):
    """An application that serves every path with and without the prefix ``/v1``."""

    def methods_at(self, path: str, root_path: str) -> tuple[str, ...]:
        """Return the documented methods of a path, with or without its version prefix."""
        return super().methods_at(_without_version(path, root_path), root_path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request, without its version prefix."""
        path = _without_version(scope["path"], scope["root_path"])
        await super().__call__({**scope, "path": path}, receive, send)


def _without_version(path: str, root_path: str) -> str:
    if path.startswith(f"{root_path}{VERSION_PREFIX}/"):
        return root_path + path.removeprefix(root_path + VERSION_PREFIX)
    return path


def _public_endpoint(handler: Handler) -> Endpoint:
    return Endpoint(handler, public=True)


def build(directory: Directory) -> ContractApp:
    """Return the contract as an ASGI application."""

    def route(path: str, **endpoints: Endpoint | Handler) -> Route:
        return Route(path, Resource(directory, CONTRACT, **endpoints))

    page = Resource(
        directory,
        accept_page.PAGE.with_page_errors(CONTRACT),
        GET=_public_endpoint(accept_page.show),
        POST=_public_endpoint(accept_page.submit),
    )
    routes = [
        route("/users", GET=users.list_users),
        route("/users/invite", POST=invitations.invite),
        route("/users/invitations", GET=invitations.list_invitations),
        route(
            "/users/invitations/{invitation}",
            GET=_public_endpoint(invitations.show),
            DELETE=invitations.revoke,
        ),
        route("/users/invitations/{invitation}/resend", POST=invitations.resend),
        route("/users/invitations/{invitation}/accept", POST=_public_endpoint(invitations.accept)),
        route("/users/{id}", GET=users.retrieve, PUT=users.update, DELETE=users.delete),
        route("/users/{id}/permissions", PUT=users.set_access),
        route("/auth/login", POST=_public_endpoint(auth.login)),
        route("/auth/refresh", POST=_public_endpoint(auth.refresh)),
        route("/auth/logout", POST=auth.logout),
        route("/auth/me", GET=auth.me),
        Route("/accept/{secret}", page),
        *docs.routes(OPENAPI, "VSAY Terminal Users API", base_url=directory.settings.public_url),
    ]
    return VersionedContractApp(routes, NotFoundResource(directory, CONTRACT))
