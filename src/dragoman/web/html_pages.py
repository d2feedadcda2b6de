"""Pages behind the links of mails: they work without JavaScript, and a GET uses nothing up."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
from starlette.responses import HTMLResponse, Response

from dragoman.rules import errors
from dragoman.web import bodies, body_errors
from dragoman.web.calls import Call, Contract
from dragoman.web.errors import MethodNotAllowed

FORM_TYPES = (bodies.FORM_TYPE, bodies.MULTIPART_TYPE)
UNREADABLE_BODY: tuple[type[errors.DirectoryError], ...] = (
    body_errors.BadRequest,
    body_errors.NotAnObject,
    body_errors.TooLarge,
    body_errors.UnsupportedMedia,
)
"""What a body can be that is no form; ``status_of`` says with which status a page tells it."""
_STATUS: dict[type[errors.DirectoryError], int] = {
    body_errors.TooLarge: 413,
    body_errors.UnsupportedMedia: 415,
}
_UNAVAILABLE_TEXT = (
    "Not just now",
    (
        "The service cannot do this at the moment. Nothing was changed, and the link stays good:"
        " try again in a minute."
    ),
)
_GONE_TITLE = "This link is of no use any more"


def status_for(error: errors.DirectoryError) -> int:
    """Return the status for a body that could not be read as a form."""
    return _STATUS.get(type(error), 400)


class HtmlPage:
    """A page: its template, which extends ``page.html``, and its own way to tell facts.

    Args:
        template: the file, in the dialect's folder.
        title: what stands above it.
        dead: what is said of a link that opens nothing; used, void, expired and unknown ones
            are one and the same.
        taken: title and words where somebody else holds the name by now.
    """

    def __init__(
        self,
        template: Path,
        *,
        title: str,
        gone_text: str,
        conflict_text: tuple[str, str] = _UNAVAILABLE_TEXT,
    ) -> None:
        self._template_path = template
        self._title = title
        self._gone_text = gone_text
        self._conflict_text = conflict_text

    def with_page_errors(self, contract: Contract) -> Contract:
        """Return the contract as it speaks on this page: everything that goes wrong is a page."""
        return msgspec.structs.replace(contract, handle_error=self._handle_error)

    def render(self, status: int = 200, *, title: str = "", **context: Any) -> Response:
        """Return the page with what its template asks for."""
        text = self._template.render(title=title or self._title, **context)
        return HTMLResponse(text, status, self._headers)

    def _handle_error(self, _: Call, error: Exception) -> Response:
        if isinstance(error, errors.NotFound | errors.InvalidLink):
            return self.render(404, title=_GONE_TITLE, notice=self._gone_text)
        if isinstance(error, errors.Taken):
            return self.render(409, title=self._conflict_text[0], notice=self._conflict_text[1])
        if isinstance(error, MethodNotAllowed):
            response = self.render(
                405, title="Not this way", notice="This page is read and sent only."
            )
            response.headers["Allow"] = ", ".join(error.allowed)
            return response
        if isinstance(error, errors.Unavailable | errors.RateLimited):
            status = 429 if isinstance(error, errors.RateLimited) else 503
            response = self.render(status, title=_UNAVAILABLE_TEXT[0], notice=_UNAVAILABLE_TEXT[1])
            response.headers["Retry-After"] = str(error.retry_after)
            return response
        if isinstance(error, errors.DirectoryError):
            return self.render(
                status_for(error), notice="This could not be read. Nothing was changed."
            )
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
        """Let the page do nothing but be read and sent.

        Its only style is named by its digest; no-referrer and no-store keep the link, which is
        a secret, from other sites and from caches.
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
