"""WiWebb's routes."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.routing import Route

from dragoman.actions.directory import Directory
from dragoman.dialects.wiwebb import auth, reset_page, tenants, users
from dragoman.dialects.wiwebb.errors import handle_error
from dragoman.dialects.wiwebb.policy import RESTRICTIONS
from dragoman.web import docs
from dragoman.web.calls import Contract, Endpoint, Handler
from dragoman.web.resource import NotFoundResource, Resource
from dragoman.web.routing import ContractApp

DOCUMENTED_PATHS = re.compile(r"/api/v1(/|\Z)")
"""The contract's paths at the root of the server or of a host of its own."""

OPENAPI = Path(__file__).with_name("openapi.yaml")

CONTRACT = Contract(
    name="wiwebb",
    scheme="Token",
    credential_format=auth.CREDENTIAL_FORMAT,
    restrictions=RESTRICTIONS,
    handle_error=handle_error,
    sign_in=auth.SIGN_IN,
)


def _public_endpoint(handler: Handler) -> Endpoint:
    return Endpoint(handler, public=True)


def build(directory: Directory) -> ContractApp:
    """Return the contract as an ASGI application."""

    def route(path: str, **endpoints: Endpoint | Handler) -> Route:
        return Route(path, Resource(directory, CONTRACT, **endpoints))

    page = Resource(
        directory,
        reset_page.PAGE.with_page_errors(CONTRACT),
        GET=_public_endpoint(reset_page.show),
        POST=_public_endpoint(reset_page.submit),
    )
    routes = [
        route(
            "/api/v1/users/{id}",
            GET=Endpoint(users.retrieve, prefetch_param="id"),
            PUT=users.put,
            PATCH=users.patch,
            DELETE=users.delete,
        ),
        route("/api/v1/users", GET=users.list_users, POST=users.create),
        route("/api/v1/users/{id}/assign-role", POST=users.assign_role),
        route("/api/v1/users/{id}/set-password", POST=users.set_password),
        route("/api/v1/users/{id}/activate", POST=users.activate),
        route("/api/v1/auth/login", POST=_public_endpoint(auth.login)),
        route("/api/v1/auth/logout", POST=auth.logout),
        route("/api/v1/auth/registration", POST=_public_endpoint(auth.register)),
        route("/api/v1/auth/registration/verify-email", POST=_public_endpoint(auth.verify_email)),
        route("/api/v1/auth/registration/resend-email", POST=_public_endpoint(auth.resend_email)),
        route("/api/v1/auth/user", GET=auth.me, PUT=auth.put_me, PATCH=auth.patch_me),
        route("/api/v1/auth/password/change", POST=auth.change_password),
        route("/api/v1/auth/password/reset", POST=_public_endpoint(auth.request_reset)),
        route("/api/v1/auth/password/reset/confirm", POST=_public_endpoint(auth.confirm_reset)),
        route("/api/v1/tenants", GET=tenants.list_tenants, POST=tenants.create),
        route("/api/v1/tenants/me", GET=tenants.retrieve_own),
        route(
            "/api/v1/tenants/{id}",
            GET=tenants.retrieve,
            PUT=tenants.put,
            PATCH=tenants.patch,
            DELETE=tenants.delete,
        ),
        Route("/reset/{uid}/{secret}", page),
        *docs.routes(OPENAPI, "WiWebb Users API", base_url=directory.settings.public_url),
    ]
    return ContractApp(routes, NotFoundResource(directory, CONTRACT))
