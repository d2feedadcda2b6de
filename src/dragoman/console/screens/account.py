"""Your account: your name, your password and your sessions."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from dragoman.actions import sign_in, tokens
from dragoman.console import messages, pages
from dragoman.console.console import Console
from dragoman.console.contract import CONTRACT
from dragoman.console.screen import Screen, read_form
from dragoman.rules.errors import Invalid, Problem
from dragoman.web.account_pages import PASSWORD_RULES
from dragoman.web.calls import Call


def routes(console: Console) -> list[Route]:
    """Return the routes of the screen."""
    return [
        Route("/account", Screen(console.directory, CONTRACT, GET=_show)),
        Route("/account/password", Screen(console.directory, CONTRACT, POST=_change_password)),
        Route("/account/sessions", Screen(console.directory, CONTRACT, POST=_end_sessions)),
    ]


async def _page(call: Call, status: int = 200, **context: Any) -> Response:
    assert call.user is not None
    starts = await tokens.session_start_times(call.read(), call.user)
    shown = {"wrong": {}, "done": call.request.query_params.get("done", ""), **context}
    return pages.render(call, "account", status, sessions=starts, **shown)


async def _show(call: Call) -> Response:
    """GET /console/account."""
    return await _page(call)


async def _change_password(call: Call) -> Response:
    """POST /console/account/password: current, password, repeated."""
    form = await read_form(call)
    current, password = form.get("current", ""), form.get("password", "")
    problems = [Problem(name, "required") for name in ("current", "password") if not form.get(name)]
    if password and form.get("repeated") != password:
        problems.append(Problem("repeated", "mismatch"))
    try:
        await sign_in.change_password(
            call.directory, call.actor, current, password, PASSWORD_RULES, problems=problems
        )
    except Invalid as error:
        return await _page(call, 400, wrong=messages.by_field(error.problems))
    return pages.redirect(call, "/account", done="password")


async def _end_sessions(call: Call) -> Response:
    """POST /console/account/sessions: end all sessions of the console, this one too."""
    async with call.begin() as tx:
        await tokens.sign_out(tx, everywhere=True)
    return pages.redirect(call, "/sign-in")
