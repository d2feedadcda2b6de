"""Errors become pages: what happened, what did not, and the request id."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from dragoman.console import pages
from dragoman.console.exceptions import PROOF_FIELD, CrossSite, ProofNeeded
from dragoman.rules import errors
from dragoman.web import body_errors
from dragoman.web.calls import Call
from dragoman.web.errors import ErrorRenderer, MethodNotAllowed, error_handler, error_headers


def _page(status: int, title: str, lead: str) -> ErrorRenderer:
    def render(call: Call, error: Any) -> Response:
        response = pages.render(call, "error", status, title=title, lead=lead, code=status)
        response.headers.update(error_headers(error))
        return response

    return render


def _sign_in(call: Call, _: Any) -> Response:
    """Ask to sign in; the browser comes back to a page, and tells that a form was not taken."""
    path = call.path.removeprefix(pages.PREFIX)
    if call.request.method in {"GET", "HEAD"}:
        if query := call.request.scope["query_string"].decode("latin-1"):
            path += f"?{query}"
        return pages.redirect(call, "/sign-in", next="" if path in {"", "/"} else path)
    return pages.render(call, "session_ended", 401)


def _ask_proof(call: Call, error: ProofNeeded) -> Response:
    return pages.render(
        call,
        "proof",
        403,
        form=error.form,
        message=error.message,
        proof_field=PROOF_FIELD,
        action=pages.url(call, call.path.removeprefix(pages.PREFIX)),
    )


handle_error = error_handler(
    {
        errors.Unauthenticated: _sign_in,
        ProofNeeded: _ask_proof,
        CrossSite: _page(
            403,
            "This form came from somewhere else",
            "Nothing was changed. Open the console itself, and try again there.",
        ),
        errors.Forbidden: _page(
            403, "You may not do this", "Nothing was changed. An administrator can do it for you."
        ),
        errors.NotFound: _page(
            404, "There is no such page", "What it showed may be gone, or out of your reach."
        ),
        MethodNotAllowed: _page(405, "There is no such page", "Go back, and use its buttons."),
        errors.RateLimited: _page(
            429, "Too many requests", "Nothing was changed. Try again in a minute."
        ),
        errors.Unavailable: _page(
            503,
            "The directory cannot answer now",
            "Nothing was changed by your last request. The server goes on trying.",
        ),
        body_errors.TooLarge: _page(413, "That is too much at once", "Nothing was changed."),
        errors.DirectoryError: _page(
            400, "That cannot be done", "Nothing was changed. Go back, and look at the form again."
        ),
        Exception: _page(
            500,
            "Something went wrong here",
            "It has been written to the server's log with the request id below.",
        ),
    }
)
