"""Sign in and out of the console."""

from __future__ import annotations

import re
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from dragoman.actions import sign_in, tokens
from dragoman.console import contract, navigation, pages
from dragoman.console.console import Console
from dragoman.console.contract import CONTRACT
from dragoman.console.screen import Screen, read_form
from dragoman.rules.errors import BadCredentials, RateLimited, Unauthenticated
from dragoman.web import headers
from dragoman.web.calls import Call, Endpoint
from dragoman.web.errors import error_headers

_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*")
"""A path below the console, with its query: nothing that leads elsewhere."""


def routes(console: Console) -> list[Route]:
    """Return the routes of the screen."""
    page = Screen(
        console.directory,
        CONTRACT,
        GET=Endpoint(_show, public=True),
        POST=Endpoint(_submit, public=True),
    )
    check = Screen(console.directory, CONTRACT, GET=Endpoint(_check_cookie, public=True))
    end = Screen(console.directory, CONTRACT, POST=_sign_out)
    return [Route("/sign-in", page), Route("/sign-in/check", check), Route("/sign-out", end)]


def _next_path(value: str) -> str:
    """Return the path to go to after the sign-in; empty for the first page."""
    is_below = _PATH.fullmatch(value) and not value.startswith("//") and ".." not in value
    return value if is_below else ""


def _page(call: Call, status: int = 200, **context: Any) -> Response:
    shown = {"name": "", "message": "", "next": "", **context}
    return pages.render(call, "sign_in", status, **shown)


async def _show(call: Call) -> Response:
    """GET /console/sign-in."""
    next_path = _next_path(call.request.query_params.get("next", ""))
    # Browsers keep a strict cookie back when a link of another site leads here: ask again from here.
    came_from_elsewhere = headers.getlist(call.request.scope, b"sec-fetch-site") == ["cross-site"]
    try:
        await call.identify()
    except Unauthenticated:
        return _page(call, next=next_path, again=came_from_elsewhere)
    return _go_on(call, next_path)


async def _submit(call: Call) -> Response:
    """POST /console/sign-in: name, password, next."""
    form = await read_form(call)
    name, next_path = form.get("name", ""), _next_path(form.get("next", ""))
    try:
        _, credential = await sign_in.sign_in(
            call.directory,
            call.actor,
            name,
            form.get("password", ""),
            contract.CREDENTIAL_FORMAT,
        )
    except BadCredentials:
        return _page(call, 401, name=name, next=next_path, message="refused")
    except RateLimited as error:
        response = _page(call, 429, name=name, next=next_path, message="limited")
        response.headers.update(error_headers(error))
        return response
    response = pages.redirect(call, "/sign-in/check", next=next_path)
    contract.set_session(response, credential)
    return response


async def _check_cookie(call: Call) -> Response:
    """GET /console/sign-in/check: whether the browser has taken the cookie."""
    next_path = _next_path(call.request.query_params.get("next", ""))
    try:
        await call.identify()
    except Unauthenticated:
        return _page(call, 401, next=next_path, message="cookie")
    return _go_on(call, next_path)


def _go_on(call: Call, next_path: str) -> Response:
    target = next_path or navigation.home_of(call.actor)
    response = pages.redirect(call, "/")
    response.headers["location"] = pages.base_path(call) + target
    return response


async def _sign_out(call: Call) -> Response:
    """POST /console/sign-out."""
    async with call.begin() as tx:
        await tokens.sign_out(tx)
    response = pages.redirect(call, "/sign-in")
    contract.clear_session(response)
    return response
