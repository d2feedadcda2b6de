"""Documentation: serves a contract's OpenAPI document as JSON and as an HTML page."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, cast
from urllib.parse import quote, urlsplit

import msgspec
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dragoman.web import docs_samples
from dragoman.web.docs_reader import DocumentReader, Node, anchor
from dragoman.web.headers import HOST_SCOPE_KEY, url_on_host

PATHS = frozenset({"/docs", "/openapi.json"})
"""Where a contract's documentation is, below its prefix or on a host of its own."""

_TEMPLATE, _STYLE, _SCRIPT = (
    Path(__file__).with_name(f"docs.{suffix}") for suffix in ("html", "css", "js")
)
_TABLE = '<div class="table" role="region" aria-label="Table" tabindex="0"><table>'
"""A wide table is scrolled in a region of its own, which the keyboard can reach."""
_HEADERS = {
    "Cache-Control": "no-cache",  # revalidate always: the ETag makes that cheap
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_MAX_CACHED = 8
"""Maximum number of cached renditions, one for each address and format."""


def routes(document: Path, title: str, *, base_url: str = "http://127.0.0.1:8000") -> list[Route]:
    """Return the routes ``/openapi.json``, ``/docs``, and ``/``, which redirects to ``/docs``.

    The routes may be mounted anywhere: URLs contain the path of ``base_url`` and the prefix
    (``root_path``) of the request, and a host only if the settings assign it to the contract.

    Args:
        document: the OpenAPI 3 document, in YAML; it is read once, on the first request.
        title: the title of the page.
        base_url: the server's public URL.
    """
    base_path = _path_of(base_url)
    respond = _DocumentCache(document, title, base_url).respond
    return [
        Route("/openapi.json", partial(respond, output_format="json")),
        Route("/docs", partial(respond, output_format="page")),
        Route("/", lambda r: RedirectResponse(f"{base_path}{r.scope.get('root_path', '')}/docs")),
    ]


def _path_of(url: str) -> str:
    """Return the path of a URL: that of the public one is what a proxy in front may remove."""
    return urlsplit(url).path.rstrip("/")


class _Rendition(NamedTuple):
    body: bytes
    media_type: str
    headers: dict[str, str]


class _DocumentCache:
    """One document, and its renditions by address and format."""

    def __init__(self, document: Path, title: str, base_url: str) -> None:
        self._path = document
        self._title = title
        self._base_url = base_url
        self._lock = Lock()
        self._document: Node | None = None
        self._renditions: dict[tuple[str, str], _Rendition] = {}

    def respond(self, request: Request, output_format: str) -> Response:
        """Answer with the document. Not a coroutine, so that Starlette runs it in a thread."""
        root = cast("str", request.scope.get("root_path", "")).strip("/")
        host = cast("str", request.scope.get(HOST_SCOPE_KEY, ""))
        url = url_on_host(self._base_url, host).rstrip("/") + (f"/{quote(root)}" if root else "")
        with self._lock:
            key = url, output_format
            rendition = self._renditions.get(key) or self._render(*key)
        etags = request.headers.get("if-none-match", "").replace("W/", "").split(",")
        if any(etag.strip() in {rendition.headers["ETag"], "*"} for etag in etags):
            return Response(status_code=304, headers=rendition.headers)
        return Response(rendition.body, headers=rendition.headers, media_type=rendition.media_type)

    def _render(self, url: str, output_format: str) -> _Rendition:
        if self._document is None:
            self._document = _load(self._path)
        server: Node = next(iter(self._document.get("servers") or []), {})
        document = {**self._document, "servers": [{**server, "url": _path_of(url) or "/"}]}
        if output_format == "json":
            body, media_type = msgspec.json.encode(document), "application/json"
            headers = dict(_HEADERS)
        else:
            page = render(document, self._title, url=url)
            body, media_type = page.encode(), "text/html"
            headers = {**_HEADERS, "Content-Security-Policy": _content_security_policy(page)}
        headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        if len(self._renditions) >= _MAX_CACHED:
            self._renditions.clear()
        rendition = self._renditions[url, output_format] = _Rendition(body, media_type, headers)
        return rendition


def _content_security_policy(page: str) -> str:
    """Return the policy that allows only the page's own style sheet and script, by digest."""

    def digest(tag: str) -> str:
        text = page.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        return b64encode(hashlib.sha256(text.encode()).digest()).decode()

    return (
        f"default-src 'none'; style-src 'sha256-{digest('style')}'; "
        f"script-src 'sha256-{digest('script')}'; require-trusted-types-for 'script'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _load(path: Path) -> Node:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster, if available
    document = yaml.load(path.read_bytes(), Loader=loader)  # noqa: S506 - both are safe ones
    # YAML has dates, and keys that are not strings.
    return msgspec.to_builtins(document, str_keys=True)


def render(document: Node, title: str, *, url: str) -> str:
    """Return the HTML page of an OpenAPI document, whose texts are escaped.

    Args:
        document: the OpenAPI document.
        title: the title of the page.
        url: the contract's URL, in the example requests.
    """
    from jinja2 import Environment, StrictUndefined
    from markdown_it import MarkdownIt

    # Raw HTML is escaped; images are disabled because they would be loaded from elsewhere.
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    filters = cast("dict[str, Any]", environment.filters)
    filters |= {
        "prose": lambda text: Markup(  # noqa: S704 - escaped by it
            markdown.render(text).replace("<table>", _TABLE).replace("</table>", "</table></div>")
        ),
        "inline": lambda text: Markup(markdown.renderInline(text.strip())),  # noqa: S704
        "anchor": anchor,
        "compact": docs_samples.compact_json,
        "paint": docs_samples.highlight_json,
    }
    reader = DocumentReader(document)
    return environment.from_string(_TEMPLATE.read_text("utf-8")).render(
        document=document, reader=reader, tags=reader.tags(), title=title, path=_path_of(url),
        samples=lambda operation: docs_samples.samples(reader, operation, url),
        style=Markup(_STYLE.read_text("utf-8")),  # noqa: S704 - our own
        script=Markup(_SCRIPT.read_text("utf-8")),  # noqa: S704 - our own
    )  # fmt: skip
