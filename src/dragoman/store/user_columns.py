"""The columns of a user, and the User that a row of them becomes.

Role and flags share one column, ``flags``: a driver spends more on a column than the database does
on adding up six numbers, and lists read a thousand columns a page.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import sqlalchemy as sa

from dragoman.rules.model import Role, User
from dragoman.store.query import Row
from dragoman.store.schema import tenants, users

_UNKNOWN = 2
"""Digit of ``strong_password`` where it is unknown."""


def _digit(number: int) -> Any:
    return sa.literal_column(str(number))  # a parameter would be sent with every request


def _flags(table: Any) -> Any:
    """Return role and flags as digits of one number: all have two values but the last, with three."""
    number = table.c.role
    for flag in (
        table.c.active,
        table.c.verified,
        table.c.approved,
        table.c.signed_up,
        table.c.email_assigned,
    ):
        number = number * _digit(2) + sa.cast(flag, sa.Integer)
    strong_password = sa.cast(table.c.strong_password, sa.Integer)
    return number * _digit(3) + sa.func.coalesce(strong_password, _digit(_UNKNOWN))


_FALSE_OR_TRUE = (False, True)
_FLAG_VALUES = tuple(product(Role, *[_FALSE_OR_TRUE] * 5, (False, True, None)))
"""The role and the flags for each value of the column ``flags``."""


def columns(table: Any, tenant_table: Any) -> tuple[Any, ...]:
    """Return the columns of a user; the tables are ``users`` and ``tenants``, or aliases of them."""
    user = table.c
    return (
        user.id, user.public_id, user.tenant_id, tenant_table.c.name, user.username, user.email,
        user.first_name, user.last_name, user.display_name, user.phone, user.bio, user.url,
        user.company, user.location, user.auth_epoch, user.created_at, user.updated_at,
        user.last_login_at, _flags(table),
    )  # fmt: skip


COLUMNS = columns(users, tenants)
_LAST = len(COLUMNS) - 1


def from_row(row: Row, start: int = 0) -> User:
    """Return the User of a row that has ``columns`` from the position ``start`` on."""
    flags = start + _LAST
    return User(*row[start:flags], *_FLAG_VALUES[row[flags]])
