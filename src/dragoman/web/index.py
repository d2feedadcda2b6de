"""``GET /``: the contracts as JSON, or for a browser as a page that leads to console and docs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dragoman.settings import Settings
from dragoman.web.html_pages import HtmlPage

PAGE = HtmlPage(Path(__file__).with_name("index.html"), title="Dragoman", gone_text="")


def route(settings: Settings, contracts: Iterable[str]) -> Route:
    """Return the route.

    Args:
        settings: the settings.
        contracts: the names of the served contracts.
    """
    names = list(contracts)
    base_urls = {name: f"{settings.public_url}/{name}/" for name in names}
    base_path = urlsplit(settings.public_url).path.rstrip("/")

    async def index(request: Request) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            response = PAGE.render(contracts=names, console=settings.console, base=base_path)
        else:
            response = JSONResponse({"name": "Dragoman", "contracts": base_urls})
        response.headers["Vary"] = "Accept"
        return response

    return Route("/", index)
