"""Pages: renders templates, with the navigation and the security headers of the console."""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import jinja2
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dragoman import __version__
from dragoman.console import formats, navigation, static_files
from dragoman.rules import policy
from dragoman.rules.vocabulary import Action, Reach
from dragoman.web.calls import Call

PREFIX = "/console"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-store",
}


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        number=formats.number,
        role=formats.role,
        day=formats.day,
        iso=formats.iso,
        full_name=formats.full_name,
        state_of=formats.state_of,
    )
    shared: dict[str, Any] = environment.globals
    shared.update(STATES=formats.STATES, Action=Action, version=__version__)
    return environment


def base_path(call: Call) -> str:
    """Return the path of the console as browsers see it, with that of the public URL."""
    return urlsplit(call.directory.settings.public_url).path.rstrip("/") + PREFIX


def url(call: Call, path: str, **query: Any) -> str:
    """Return the address of a page of the console.

    Args:
        call: the request.
        path: the path below ``/console``.
        query: parameters; those that are None or empty are left out.
    """
    encoded = urlencode({name: value for name, value in query.items() if value not in {None, ""}})
    return f"{base_path(call)}{path}{'?' if encoded else ''}{encoded}"


def render(call: Call, template: str, status: int = 200, **context: Any) -> Response:
    """Return a page as a response.

    Args:
        call: the request.
        template: the name of the template, without its ending.
        status: the HTTP status.
        context: the variables of the template.
    """
    now = time.time_ns() // 1000

    def ago(moment: int) -> Any:
        return formats.time_element(formats.relative(moment, now), moment)

    def on_day(moment: int) -> Any:
        return formats.time_element(formats.day(moment), moment)

    def may(action: Action, reach: Reach = Reach.SELF) -> bool:
        return policy.granted_reach(call.actor, action) >= reach

    text = (
        _environment()
        .get_template(f"{template}.html")
        .render(
            {
                "call": call,
                "me": call.user,
                "path": call.path.removeprefix(PREFIX).rstrip("/") or "/",
                "host": urlsplit(call.directory.settings.public_url).netloc,
                "navigation": navigation.groups_for(call.actor) if call.user else [],
                "url": lambda path, **query: url(call, path, **query),
                "static": lambda name: base_path(call) + static_files.address(name),
                "ago": ago,
                "on_day": on_day,
                "may": may,
                "now": now,
                **context,
            }
        )
    )
    return HTMLResponse(text, status, HEADERS)


def redirect(call: Call, path: str, **query: Any) -> Response:
    """Return a redirect to a page of the console after a form (303)."""
    return RedirectResponse(url(call, path, **query), 303, {"Cache-Control": "no-store"})
