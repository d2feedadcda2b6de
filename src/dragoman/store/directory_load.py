"""Fills an empty directory: tenants, groups and users with their ids, by the thousand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from dragoman.rules.fields import canonical, search_key
from dragoman.store.query import BulkInsert, Query
from dragoman.store.schema import (
    access,
    grants,
    group_members,
    group_permissions,
    groups,
    names,
    tenants,
    users,
)
from dragoman.store.transaction import Read, Tx
from dragoman.store.users import derived_columns

Values = Mapping[str, Any]


def _insert(table: sa.Table, *, without: tuple[str, ...] = ()) -> BulkInsert:
    return BulkInsert(table, [column.name for column in table.c if column.name not in without])


_TENANTS = _insert(tenants, without=("deleted_at",))
_USERS = _insert(users, without=("deleted_at",))
_GROUPS = _insert(groups)
_NAMES = _insert(names)
_GROUP_PERMISSIONS = _insert(group_permissions)
_GROUP_MEMBERS = _insert(group_members)
_GRANTS = _insert(grants)
_ACCESS = _insert(access)
_ANY: tuple[Query[int], ...] = tuple(
    Query(sa.select(table.c.id).limit(1)) for table in (users, tenants, groups)
)


async def is_empty(reader: Read | Tx) -> bool:
    """Return whether there are no users, tenants and groups, and no deleted ones either."""
    for query in _ANY:
        if await reader.fetch_one(query) is not None:
            return False
    return True


async def _insert_rows(tx: Tx, insert: BulkInsert, rows: Sequence[Values]) -> None:
    columns = insert.column_names
    await tx.insert_many(insert, [tuple([row[name] for name in columns]) for row in rows])


async def insert_tenants(tx: Tx, rows: Sequence[Values]) -> None:
    """Insert tenants: all columns but the keys, the search text and the epoch.

    Tenants that have had users, but have none in the directory, get an empty counter each
    (``had_users``). Raises Taken.
    """
    for row in rows:
        if row["had_users"]:
            tx.count_users(row["id"], 0, True, 0, approved=True)
    await _insert_rows(tx, _TENANTS, [{**row, **_tenant_keys(row)} for row in rows])


def _tenant_keys(row: Values) -> Values:
    return {
        "name_key": canonical(row["name"]),
        "slug_key": canonical(row["slug"]),
        "search": "\n".join(search_key(row[name]) for name in ("name", "slug", "email")),
        "auth_epoch": 0,
    }


async def insert_groups(
    tx: Tx, rows: Sequence[Values], permission_ids: Sequence[tuple[int, int]]
) -> None:
    """Insert groups, and pairs of a group's and a permission's id; raises Taken."""
    await _insert_rows(tx, _GROUPS, [{**row, "name_key": canonical(row["name"])} for row in rows])
    await tx.insert_many(_GROUP_PERMISSIONS, permission_ids)


async def insert_users(tx: Tx, rows: Sequence[Values]) -> None:
    """Insert users and claim their names: all columns but the derived ones and the epoch.

    The key of an address is derived from it, unless the row has an ``email_key``. Raises Taken.
    """
    complete: list[dict[str, Any]] = [
        {"auth_epoch": 0, **derived_columns(row), **row} for row in rows
    ]
    await _insert_rows(tx, _USERS, complete)
    claims = [
        (key, row["id"])
        for row in complete
        for key in {row["username_key"], row["email_key"]}
        if key
    ]
    await tx.insert_many(_NAMES, sorted(claims))
    for row in complete:
        tx.count_users(row["tenant_id"], row["role"], row["active"], 1, approved=row["approved"])


async def insert_grants(
    tx: Tx,
    *,
    members: Sequence[tuple[int, int]],
    permissions: Sequence[tuple[int, int, int, int]],
    resources: Sequence[tuple[int, str, str, int, int]],
) -> None:
    """Insert what users have; raises Taken.

    Args:
        tx: the transaction.
        members: the id of a user, and of a group.
        permissions: the id of a user and of a permission, who granted it (0: the command line),
            and when.
        resources: the id of a user, a resource and the level of access to it, who granted it, and
            when.
    """
    await tx.insert_many(_GROUP_MEMBERS, members)
    await tx.insert_many(_GRANTS, permissions)
    await tx.insert_many(_ACCESS, resources)
