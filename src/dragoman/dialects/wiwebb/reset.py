"""The page behind the link of a reset mail: works without JavaScript, a GET uses nothing up."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from starlette.responses import HTMLResponse, Response

from dragoman.actions import sign_in
from dragoman.dialects.wiwebb import schemas
from dragoman.dialects.wiwebb.errors import sentence
from dragoman.rules.errors import BadRequest, Invalid, NotAnObject, Stale, UnsupportedMedia
from dragoman.web import bodies, forms
from dragoman.web.calls import Call

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}


@lru_cache(maxsize=1)
def _template() -> Any:
    from jinja2 import Environment

    text = Path(__file__).with_name("reset.html").read_text(encoding="utf-8")
    return Environment(autoescape=True).from_string(text)


def _page(status: int, **shown: Any) -> Response:
    return HTMLResponse(_template().render(**shown), status, _HEADERS)


async def show(call: Call) -> Response:
    """GET /reset/{uid}/{secret}: the form, or word that the link is of no use any more."""
    try:
        await sign_in.reset_owner(
            call.directory, call.actor, call.params["uid"], call.params["secret"]
        )
    except Stale:
        return _page(404, stale=True)
    return _page(200)


async def submit(call: Call) -> Response:
    """POST /reset/{uid}/{secret}: set the password."""
    try:
        body = await bodies.fields(call.request, (bodies.FORM, bodies.MULTIPART))
        values, problems = forms.read(body, schemas.SET_PASSWORD_TWICE)
        password = schemas.both(values, problems)
        await sign_in.reset_password(
            call.directory,
            call.actor,
            call.params["uid"],
            call.params["secret"],
            password,
            schemas.FLOOR,
            problems=problems,
        )
    except Stale:
        return _page(404, stale=True)
    except Invalid as fault:
        return _page(400, problems=list(dict.fromkeys(sentence(p) for p in fault.problems)))
    except (BadRequest, NotAnObject, UnsupportedMedia):
        return _page(400, problems=["The form could not be read."])
    return _page(200, done=True)
