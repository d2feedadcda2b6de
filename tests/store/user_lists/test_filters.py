"""The SELECT of a user list is the one that the documentation of its module shows."""

from __future__ import annotations

import msgspec

from dragoman.rules.model import Filter, Order
from dragoman.rules.vocabulary import Reach
from dragoman.store.user_lists import filters
from dragoman.store.user_lists.filters import Scope


def normalized(sql: str) -> str:
    """Return SQL text with single spaces, and none inside parentheses."""
    return " ".join(sql.split()).replace("( ", "(").replace(" )", ")")


def test_the_docstring_shows_the_compiled_select():
    shape = msgspec.structs.replace(
        filters.list_shape(Scope(Reach.TENANT, 1, 1), Filter(), (Order("username"),)), limit=20
    )
    query = filters.page_query(shape, indexed=True)
    documentation = normalized(filters.__doc__ or "")
    assert f"PostgreSQL: {normalized(query.postgres.sql)} and" in documentation
    assert f"SQLite: {normalized(query.sqlite.sql)} The ids" in documentation
