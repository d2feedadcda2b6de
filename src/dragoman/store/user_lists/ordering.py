"""Order of user lists: sort keys, reversal and keyset cursors."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from dragoman.rules.model import Order
from dragoman.store.schema import users

SORT_COLUMNS: dict[str, Any] = {
    "id": users.c.id,
    "username": users.c.username_sort,
    "email": users.c.email_key,
    "first_name": users.c.first_name_sort,
    "last_name": users.c.last_name_sort,
    "role": users.c.role,
    "created_at": users.c.created_at,
    "last_login_at": users.c.last_login_at,
    "active": users.c.active,
}
VERSIONED_KEYS = frozenset({"id", "username"})
"""Sort keys whose every change moves a counter; see ``store.users.VERSIONED_COLUMNS``."""


def sort_keys(orders: tuple[Order, ...]) -> list[tuple[Any, bool]]:
    """Return the sort columns, each with whether it descends; the last one is unique."""
    keys: list[tuple[Any, bool]] = []
    for order in orders:
        column = SORT_COLUMNS[order.key]
        if order.role_sort_keys:
            column = sa.case(dict(enumerate(order.role_sort_keys)), value=users.c.role)
        keys.append((column, order.descending))
        if order.key == "id":  # unique, so that no further key is needed
            return keys
    keys.append((users.c.id, bool(orders) and orders[-1].descending))
    return keys


def reversed_(orders: tuple[Order, ...]) -> tuple[Order, ...]:
    """Return the reverse of an order."""
    return tuple(msgspec.structs.replace(each, descending=not each.descending) for each in orders)


def supports_keyset(orders: tuple[Order, ...]) -> bool:
    """Return whether a list in this order can be continued after a cursor: it has one plain key."""
    return len(orders) == 1 and not orders[0].role_sort_keys


def is_covered_by_version(orders: tuple[Order, ...]) -> bool:
    """Return whether every change that moves a user in this order moves a counter as well."""
    return len(orders) == 1 and orders[0].key in VERSIONED_KEYS


def after_cursor(orders: tuple[Order, ...]) -> Any:
    """Return the condition for rows after the cursor ``after_key``, ``after_id``."""
    order = orders[0]
    column = SORT_COLUMNS[order.key]
    cursor_value = sa.bindparam("after_key", type_=column.type)
    if order.key == "id":
        return column < cursor_value if order.descending else column > cursor_value
    row_position = sa.tuple_(column, users.c.id)
    cursor_position = sa.tuple_(cursor_value, sa.bindparam("after_id", type_=sa.BigInteger()))
    return row_position < cursor_position if order.descending else row_position > cursor_position


def cursor_column(orders: tuple[Order, ...]) -> Any:
    """Return the column whose value in the last row of a page becomes the next cursor."""
    return SORT_COLUMNS[orders[0].key] if supports_keyset(orders) else sa.null()
