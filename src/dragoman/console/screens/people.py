"""People: search, filter, order and page through everybody in reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from dragoman.actions import user_lists
from dragoman.console import formats, pages
from dragoman.console.console import Console
from dragoman.console.contract import CONTRACT
from dragoman.console.screen import Screen
from dragoman.rules.fields import search_words
from dragoman.rules.model import Filter, Order, Role
from dragoman.web.calls import Call, parse_positive_int

SIZES = (20, 50, 100)
COLUMNS = {"name": "username", "email": "email", "created": "created_at"}
"""Columns that the list can be ordered by: their name in the address → in the directory."""
STATE_FILTERS: Mapping[str, Mapping[str, bool]] = {
    "active": {"active": True},
    "inactive": {"active": False},
    "unapproved": {"approved": False},
}
YES_NO = {"yes": True, "no": False}


class PeopleQuery(msgspec.Struct, frozen=True):
    """What the list shows, as the address says it.

    Attributes:
        q: search words.
        role: the name of a role; empty for any.
        state: a key of STATE_FILTERS; empty for any.
        proven: ``yes`` or ``no``; empty for any.
        came_by: ``sign-up`` or ``made``; empty for any.
        sort: a key of COLUMNS, with ``-`` before it for descending order.
        page: the number of the page, from 1.
        size: how many people a page has.
    """

    q: str = ""
    role: str = ""
    state: str = ""
    proven: str = ""
    came_by: str = ""
    sort: str = "name"
    page: int = 1
    size: int = SIZES[0]

    @property
    def filter(self) -> Filter:
        """The filter of the directory."""
        conditions: dict[str, Any] = dict(STATE_FILTERS.get(self.state, {}))
        if self.role:
            conditions["roles"] = frozenset({Role[self.role.upper()]})
        if self.came_by:
            conditions["signed_up"] = self.came_by == "sign-up"
        return Filter(words=search_words(self.q), proven=YES_NO.get(self.proven), **conditions)

    @property
    def orders(self) -> tuple[Order, ...]:
        """The order of the directory."""
        column = COLUMNS[self.sort.removeprefix("-")]
        return (Order(column, descending=self.sort.startswith("-")), Order("id"))

    def address(self, **changes: Any) -> dict[str, Any]:
        """Return the parameters of an address, with these changes; those by default are left out."""
        values = {**msgspec.structs.asdict(self), **changes}
        return {name: value for name, value in values.items() if value != getattr(_DEFAULTS, name)}


_DEFAULTS = PeopleQuery()
_CHOICES: Mapping[str, frozenset[str]] = {
    "role": frozenset(role.name.lower() for role in Role),
    "state": frozenset(STATE_FILTERS),
    "proven": frozenset(YES_NO),
    "came_by": frozenset({"sign-up", "made"}),
    "sort": frozenset(sign + name for name in COLUMNS for sign in ("", "-")),
}


def parse_query(params: Mapping[str, str]) -> PeopleQuery:
    """Return the query of an address; what it has that makes no sense is left out."""
    values: dict[str, Any] = {
        name: params[name] for name, choices in _CHOICES.items() if params.get(name) in choices
    }
    size = parse_positive_int(params.get("size", ""))
    return PeopleQuery(
        q=params.get("q", "").strip()[:200],
        page=parse_positive_int(params.get("page", "")) or 1,
        size=size if size in SIZES else SIZES[0],
        **values,
    )


def routes(console: Console) -> list[Route]:
    """Return the routes of the screen."""
    return [Route("/people", Screen(console.directory, CONTRACT, GET=_show))]


async def _show(call: Call) -> Response:
    """GET /console/people."""
    query = parse_query(call.request.query_params)
    page = await user_lists.list_page(
        call.directory,
        call.read(),
        query.filter,
        query.orders,
        limit=query.size,
        offset=(query.page - 1) * query.size,
    )
    everybody = await user_lists.list_page(
        call.directory, call.read(), Filter(), (Order("id"),), limit=1
    )
    return pages.render(
        call,
        "people",
        query=query,
        erased="erased" in call.request.query_params,
        people=page.rows,
        count=page.count,
        total=everybody.count,
        last_page=max(1, -(-page.count // query.size)),
        sizes=SIZES,
        role_options=[(role.name.lower(), formats.role(role)) for role in Role],
    )
