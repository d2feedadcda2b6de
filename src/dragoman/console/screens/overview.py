"""Overview: how many people there are."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from dragoman.actions import user_lists
from dragoman.console import pages
from dragoman.console.console import Console
from dragoman.console.contract import CONTRACT
from dragoman.console.screen import Screen
from dragoman.rules.model import Filter, Order, Role
from dragoman.web.calls import Call

_ORDER = (Order("id"),)


def routes(console: Console) -> list[Route]:
    """Return the routes of the screen."""
    return [Route("/", Screen(console.directory, CONTRACT, GET=_show))]


async def _count(call: Call, user_filter: Filter) -> int:
    page = await user_lists.list_page(call.directory, call.read(), user_filter, _ORDER, limit=1)
    return page.count


async def _show(call: Call) -> Response:
    """GET /console/."""
    total, active = await _count(call, Filter()), await _count(call, Filter(active=True))
    roles = [(each, await _count(call, Filter(roles=frozenset({each})))) for each in Role]
    return pages.render(call, "overview", total=total, active=active, roles=roles)
