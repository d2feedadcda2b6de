"""Orders of users: by which columns, from which end, and from which position on."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from dragoman.rules.model import Order
from dragoman.store.schema import users

KEYS: dict[str, Any] = {
    "id": users.c.id,
    "username": users.c.username_key,
    "email": users.c.email_key,
    "first_name": users.c.first_name,
    "last_name": users.c.last_name,
    "role": users.c.role,
    "created_at": users.c.created_at,
    "last_login_at": users.c.last_login_at,
    "active": users.c.active,
}
UNIQUE = frozenset({"id", "username"})
"""Orders that need no second key."""


def columns(orders: tuple[Order, ...]) -> list[tuple[Any, bool]]:
    """Return the sort keys, with whether each descends; the last one is unique."""
    found: list[tuple[Any, bool]] = []
    for order in orders:
        column = KEYS[order.key]
        if order.ranks:
            column = sa.case(dict(enumerate(order.ranks)), value=users.c.role)
        found.append((column, order.descending))
        if order.key in UNIQUE:
            return found
    found.append((users.c.id, bool(orders) and orders[-1].descending))
    return found


def turned(orders: tuple[Order, ...]) -> tuple[Order, ...]:
    """Return the same order from its other end."""
    return tuple(msgspec.structs.replace(each, descending=not each.descending) for each in orders)


def continues(orders: tuple[Order, ...]) -> bool:
    """Say whether a list in this order can be continued from a position (one plain key)."""
    return len(orders) == 1 and not orders[0].ranks


def is_stable(orders: tuple[Order, ...]) -> bool:
    """Say whether nothing moves a user in this order but what moves a counter as well."""
    return len(orders) == 1 and orders[0].key in UNIQUE


def after(orders: tuple[Order, ...]) -> Any:
    """Return the condition of what stands behind ``after_key`` and ``after_id``."""
    order = orders[0]
    column = KEYS[order.key]
    edge = sa.bindparam("after_key", type_=column.type)
    if order.key in UNIQUE:
        return column < edge if order.descending else column > edge
    here = sa.tuple_(column, users.c.id)
    there = sa.tuple_(edge, sa.bindparam("after_id", type_=sa.BigInteger()))
    return here < there if order.descending else here > there


def position_column(orders: tuple[Order, ...]) -> Any:
    """Return the column whose value in the last row is the position to continue from."""
    return KEYS[orders[0].key] if continues(orders) else sa.null()
