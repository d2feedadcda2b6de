"""The page behind the link of a reset mail: works without JavaScript, a GET uses nothing up."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from functools import lru_cache
from pathlib import Path
from typing import Any

from starlette.responses import HTMLResponse, Response

from dragoman.actions import sign_in
from dragoman.dialects.wiwebb import schemas
from dragoman.dialects.wiwebb.errors import sentence
from dragoman.rules.errors import (
    BadRequest,
    Invalid,
    NotAnObject,
    Stale,
    TooLarge,
    Unavailable,
    UnsupportedMedia,
)
from dragoman.web import bodies, forms
from dragoman.web.calls import Call
from dragoman.web.logs import log

FORMS = (bodies.FORM, bodies.MULTIPART)


@lru_cache(maxsize=1)
def _prepared() -> tuple[Any, dict[str, str]]:
    """Return the template, and headers that let the page do nothing but be read and sent.

    Its only style is named by its digest; no-referrer and no-store keep the link, which is a
    secret, from other sites and from caches.
    """
    from jinja2 import Environment

    text = Path(__file__).with_name("reset.html").read_text(encoding="utf-8")
    style = text.partition("<style>")[2].partition("</style>")[0]
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    headers = {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; "
            "frame-ancestors 'none'; base-uri 'none'"
        ),
        "Referrer-Policy": "no-referrer",
        "X-Frame-Options": "DENY",
        "X-Robots-Tag": "noindex",
        "Cache-Control": "no-store",
    }
    return Environment(autoescape=True).from_string(text), headers


def _page(status: int, *, retry_after: int = 0, **shown: Any) -> Response:
    template, headers = _prepared()
    later = {"Retry-After": str(retry_after)} if retry_after else {}
    return HTMLResponse(template.render(**shown), status, {**headers, **later})


def _stale() -> Response:
    """Say that the link opens nothing: used, void, expired and unknown are one and the same."""
    return _page(404, stale=True)


def _busy(call: Call, fault: Unavailable) -> Response:
    log.warning(
        "unavailable", what=str(fault), request_id=call.request_id, contract=call.contract.name
    )
    return _page(503, retry_after=fault.retry_after, busy=True)


async def show(call: Call) -> Response:
    """GET /reset/{uid}/{secret}: the form, or word that the link is of no use any more."""
    params = call.params
    try:
        await sign_in.reset_owner(call.directory, call.actor, params["uid"], params["secret"])
    except Stale:
        return _stale()
    except Unavailable as fault:
        return _busy(call, fault)
    return _page(200)


async def submit(call: Call) -> Response:
    """POST /reset/{uid}/{secret}: set the password."""
    params = call.params
    try:
        values, problems = forms.read(
            await bodies.fields(call.request, FORMS), schemas.SET_PASSWORD_TWICE
        )
        await sign_in.reset_password(
            call.directory,
            call.actor,
            params["uid"],
            params["secret"],
            schemas.both(values, problems),
            schemas.FLOOR,
            problems=problems,
        )
    except Stale:
        return _stale()
    except Invalid as fault:
        return _page(400, problems=_by_field(fault))
    except Unavailable as fault:
        return _busy(call, fault)
    except TooLarge:
        return _page(413, unread=True)
    except UnsupportedMedia:
        return _page(415, unread=True)
    except (BadRequest, NotAnObject):
        return _page(400, unread=True)
    return _page(200, done=True)


def _by_field(fault: Invalid) -> dict[str, list[str]]:
    """Return what is wrong with each of the two fields, in words."""
    told: dict[str, list[str]] = {"first": [], "second": []}
    for problem in fault.problems:
        sentences = told["second" if problem.field == "password2" else "first"]
        if (said := sentence(problem)) not in sentences:
            sentences.append(said)
    return told
