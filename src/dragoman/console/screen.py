"""Screen: a path of the console. Asks people to sign in, and guards what changes something."""

from __future__ import annotations

from starlette.responses import Response

from dragoman.console import guard
from dragoman.web import bodies
from dragoman.web.calls import Call
from dragoman.web.html_pages import FORM_TYPES
from dragoman.web.resource import Resource

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Screen(Resource):
    """One path of the console."""

    async def _respond(self, call: Call) -> Response:
        if call.request.method not in SAFE_METHODS:
            guard.require_same_origin(call)
        return await super()._respond(call)


async def read_form(call: Call) -> dict[str, str]:
    """Return the text fields of a form; the first of several values counts.

    Raises an error of ``web.body_errors`` for a body that is not a form.
    """
    fields = await bodies.read_fields(call.request, FORM_TYPES)
    return {name: value for name, value in fields.items() if isinstance(value, str)}
