"""HTML pages behind the links in mails. They work without JavaScript; GET changes nothing."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
from starlette.responses import HTMLResponse, Response

from dragoman.rules import errors
from dragoman.web import bodies, body_errors
from dragoman.web.calls import Call, Contract
from dragoman.web.errors import MethodNotAllowed, error_headers

FORM_TYPES = (bodies.FORM_TYPE, bodies.MULTIPART_TYPE)
UNREADABLE_BODY: tuple[type[errors.DirectoryError], ...] = (
    body_errors.BadRequest,
    body_errors.NotAnObject,
    body_errors.TooLarge,
    body_errors.UnsupportedMedia,
)
"""Errors of a body that is not a form; ``status_for`` returns their status."""
_STATUS: dict[type[errors.DirectoryError], int] = {
    body_errors.TooLarge: 413,
    body_errors.UnsupportedMedia: 415,
}
_UNAVAILABLE_TEXT = (
    "Temporarily unavailable",
    "Nothing was changed, and the link is still valid. Please try again in a minute.",
)
_GONE_TITLE = "This link is no longer valid"


def status_for(error: errors.DirectoryError) -> int:
    """Return the status for a body that is not a valid form."""
    return _STATUS.get(type(error), 400)


class HtmlPage:
    """A page: a template that extends ``page.html``, and the page's error messages.

    Args:
        template: the template file, in the dialect's folder.
        title: the page's title.
        gone_text: the message for an invalid link, whether it was used, revoked, has expired or
            never existed.
        conflict_text: title and message if the name has been taken meanwhile.
        defaults: variables of the template that every response has.
    """

    def __init__(
        self,
        template: Path,
        *,
        title: str,
        gone_text: str,
        conflict_text: tuple[str, str] = _UNAVAILABLE_TEXT,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        self._template_path = template
        self._title = title
        self._gone_text = gone_text
        self._conflict_text = conflict_text
        self._defaults = defaults or {}

    def with_page_errors(self, contract: Contract) -> Contract:
        """Return the contract with an error handler that renders every error as this page."""
        return msgspec.structs.replace(contract, handle_error=self._handle_error)

    def render(self, status: int = 200, *, title: str = "", **context: Any) -> Response:
        """Return the page as a response; ``context`` holds the template's variables."""
        text = self._template.render({"title": title or self._title, **self._defaults, **context})
        return HTMLResponse(text, status, self._headers)

    def _handle_error(self, _: Call, error: Exception) -> Response:
        response = self._render_error(error)
        response.headers.update(error_headers(error))
        return response

    def _render_error(self, error: Exception) -> Response:
        if isinstance(error, errors.NotFound | errors.InvalidLink):
            return self.render(404, title=_GONE_TITLE, notice=self._gone_text)
        if isinstance(error, errors.Taken):
            return self.render(409, title=self._conflict_text[0], notice=self._conflict_text[1])
        if isinstance(error, MethodNotAllowed):
            return self.render(
                405, title="Method not allowed", notice="Open this link in a browser."
            )
        if isinstance(error, errors.Unavailable | errors.RateLimited):
            status = 429 if isinstance(error, errors.RateLimited) else 503
            return self.render(status, title=_UNAVAILABLE_TEXT[0], notice=_UNAVAILABLE_TEXT[1])
        if isinstance(error, errors.DirectoryError):
            notice = "The form could not be read. Nothing was changed."
            return self.render(status_for(error), notice=notice)
        return self.render(500, title="Something went wrong", notice=_UNAVAILABLE_TEXT[1])

    @cached_property
    def _template(self) -> Any:
        from jinja2 import Environment, FileSystemLoader

        folders = [self._template_path.parent, Path(__file__).parent]
        return Environment(loader=FileSystemLoader(folders), autoescape=True).get_template(
            self._template_path.name
        )

    @cached_property
    def _headers(self) -> dict[str, str]:
        """The security headers of the page.

        They allow its own style sheet, by digest, and its form. The link is a secret:
        no-referrer hides it from other sites, no-store from caches.
        """
        text = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
        style = text.partition("<style>")[2].partition("</style>")[0]
        digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
        return {
            "Content-Security-Policy": (
                f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; "
                "frame-ancestors 'none'; base-uri 'none'"
            ),
            "Referrer-Policy": "no-referrer",
            "X-Frame-Options": "DENY",
            "X-Robots-Tag": "noindex",
            "Cache-Control": "no-store",
        }
