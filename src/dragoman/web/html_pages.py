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

FORMS = (bodies.FORM, bodies.MULTIPART)
UNREAD: tuple[type[errors.Failure], ...] = (
    body_errors.BadRequest,
    body_errors.NotAnObject,
    body_errors.TooLarge,
    body_errors.UnsupportedMedia,
)
"""What a body can be that is no form; ``status_of`` says with which status a page tells it."""
_STATUS: dict[type[errors.Failure], int] = {
    body_errors.TooLarge: 413,
    body_errors.UnsupportedMedia: 415,
}
_BUSY = (
    "Not just now",
    (
        "The service cannot do this at the moment. Nothing was changed, and the link stays good:"
        " try again in a minute."
    ),
)
_DEAD_TITLE = "This link is of no use any more"


def status_of(fault: errors.Failure) -> int:
    """Return the status for a body that could not be read as a form."""
    return _STATUS.get(type(fault), 400)


class Leaf:
    """A page: its template, which extends ``leaf.html``, and its own way to tell facts.

    Args:
        template: the file, in the dialect's folder.
        title: what stands above it.
        dead: what is said of a link that opens nothing; used, void, expired and unknown ones
            are one and the same.
        taken: title and words where somebody else holds the name by now.
    """

    def __init__(
        self, template: Path, *, title: str, dead: str, taken: tuple[str, str] = _BUSY
    ) -> None:
        self._path = template
        self._title = title
        self._dead = dead
        self._taken = taken

    def contract(self, contract: Contract) -> Contract:
        """Return the contract as it speaks on this page: everything that goes wrong is a page."""
        return msgspec.structs.replace(contract, voice=self._voice)

    def show(self, status: int = 200, *, title: str = "", **shown: Any) -> Response:
        """Return the page with what its template asks for."""
        text = self._template.render(title=title or self._title, **shown)
        return HTMLResponse(text, status, self._headers)

    def _voice(self, _: Call, fault: Exception) -> Response:
        if isinstance(fault, errors.NotFound | errors.Stale):
            return self.show(404, title=_DEAD_TITLE, notice=self._dead)
        if isinstance(fault, errors.Taken):
            return self.show(409, title=self._taken[0], notice=self._taken[1])
        if isinstance(fault, MethodNotAllowed):
            answer = self.show(405, title="Not this way", notice="This page is read and sent only.")
            answer.headers["Allow"] = ", ".join(fault.allowed)
            return answer
        if isinstance(fault, errors.Unavailable | errors.Limited):
            status = 429 if isinstance(fault, errors.Limited) else 503
            answer = self.show(status, title=_BUSY[0], notice=_BUSY[1])
            answer.headers["Retry-After"] = str(fault.retry_after)
            return answer
        if isinstance(fault, errors.Failure):
            return self.show(
                status_of(fault), notice="This could not be read. Nothing was changed."
            )
        return self.show(500, title="Something went wrong", notice=_BUSY[1])

    @cached_property
    def _template(self) -> Any:
        from jinja2 import Environment, FileSystemLoader

        folders = [self._path.parent, Path(__file__).parent]
        return Environment(loader=FileSystemLoader(folders), autoescape=True).get_template(
            self._path.name
        )

    @cached_property
    def _headers(self) -> dict[str, str]:
        """Let the page do nothing but be read and sent.

        Its only style is named by its digest; no-referrer and no-store keep the link, which is
        a secret, from other sites and from caches.
        """
        text = Path(__file__).with_name("leaf.html").read_text(encoding="utf-8")
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
