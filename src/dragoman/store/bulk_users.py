"""Users by the hundred: look up who has a name or an id, and insert many in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from dragoman.rules.fields import search_key
from dragoman.rules.model import User
from dragoman.store import users as user_store
from dragoman.store.query import BulkInsert, Query, Row, bind, in_list
from dragoman.store.schema import names, tenants, users
from dragoman.store.transaction import Read, Tx

SEQUENCE_STEP = 1_000
"""How far the ids jump above one that was brought along: others draw some at the same moment."""


class ExistingUser(msgspec.Struct, frozen=True):
    """A user as an import has to know it, deleted ones included.

    Attributes:
        user: the user.
        password_hash: the encoded hash of its password.
        username_key: the canonical username.
        email_key: the canonical e-mail address.
        deleted: whether it is only a tombstone.
        hash_imported_at: when an import brought the hash; 0 if none did.
        password_reaches: the number of characters that its password is known to reach.
    """

    user: User
    password_hash: str
    username_key: str
    email_key: str
    deleted: bool
    hash_imported_at: int
    password_reaches: int | None

    def only_claims(self, key: str) -> bool:
        """Return whether a name is an e-mail address that this user only claims."""
        return key == self.email_key and not self.user.holds_email


_N = len(user_store.COLUMNS)


def _from_row(row: Row) -> ExistingUser:
    return ExistingUser(
        user_store.from_row(row),
        row[_N],
        row[_N + 1],
        row[_N + 2],
        row[_N + 3] is not None,
        row[_N + 4],
        row[_N + 5],
    )


_SELECT = sa.select(
    *user_store.COLUMNS,
    users.c.password_hash,
    users.c.username_key,
    users.c.email_key,
    users.c.deleted_at,
    users.c.hash_imported_at,
    users.c.password_reaches,
)
_JOINED = users.outerjoin(tenants, tenants.c.id == users.c.tenant_id)
_BY_NAMES: Query[tuple[str, ExistingUser]] = Query(
    _SELECT.add_columns(names.c.key)
    .select_from(_JOINED.join(names, names.c.user_id == users.c.id))
    .where(in_list(names.c.key, "keys")),
    lambda row: (row[_N + 6], _from_row(row)),
    bulk=True,
)
_BY_IDS: Query[ExistingUser] = Query(
    _SELECT.select_from(_JOINED).where(in_list(users.c.id, "ids")), _from_row, bulk=True
)
_BY_PUBLIC_IDS: Query[ExistingUser] = Query(
    _SELECT.select_from(_JOINED).where(in_list(users.c.public_id, "ids")), _from_row, bulk=True
)
_DEFAULT_COLUMNS = frozenset({"deleted_at", "password_reaches"})
COLUMNS = tuple(column.name for column in users.c if column.name not in _DEFAULT_COLUMNS)
"""The columns of ``insert``, in their order."""
_INSERT = BulkInsert(users, COLUMNS)
_INSERT_NAMES = BulkInsert(names, ("key", "user_id"))
_NEXT_IDS: Query[int] = Query(
    sa.text("SELECT nextval('users_id_seq') FROM generate_series(1, CAST(:count AS integer))"),
    sqlite=sa.text(
        "WITH RECURSIVE n(id) AS ("
        " SELECT max(:above, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'users'), 0)) + 1"
        " UNION ALL SELECT id + 1 FROM n LIMIT :count) SELECT id FROM n"
    ),
)
_RAISE_SEQUENCE: Query[Any] = Query(
    sa.text(
        "SELECT setval('users_id_seq', CAST(:next_id AS bigint))"
        " FROM users_id_seq WHERE last_value < CAST(:max_id AS bigint)"
    ),
    sqlite=sa.text("SELECT :max_id + :next_id WHERE FALSE"),  # an INSERT raises it by itself
)


async def by_names(reader: Read | Tx, keys: Sequence[str]) -> dict[str, ExistingUser]:
    """Return who has these canonical usernames and e-mail addresses, by key."""
    return dict(await reader.fetch(_BY_NAMES, keys=sorted(set(keys)))) if keys else {}


async def by_ids(reader: Read | Tx, ids: Sequence[int]) -> dict[int, ExistingUser]:
    """Return the users with these ids, deleted ones as well."""
    found = await reader.fetch(_BY_IDS, ids=sorted(set(ids))) if ids else []
    return {existing.user.id: existing for existing in found}


async def by_public_ids(reader: Read | Tx, public_ids: Sequence[str]) -> dict[str, ExistingUser]:
    """Return the users with these public ids, deleted ones as well."""
    ids = sorted(set(public_ids))
    found = await reader.fetch(_BY_PUBLIC_IDS, ids=ids) if ids else []
    return {existing.user.public_id: existing for existing in found}


async def next_ids(tx: Tx, count: int, *, above: int = 0) -> list[int]:
    """Return ids for new users, ascending; they must be inserted before the next call.

    Args:
        tx: the transaction.
        count: how many.
        above: the greatest id that another new user has brought along; all later ones are greater.
    """
    if above:
        await tx.fetch(_RAISE_SEQUENCE, max_id=above, next_id=above + SEQUENCE_STEP)
    return await tx.fetch(_NEXT_IDS, count=count, above=above) if count else []


async def insert(tx: Tx, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert users; the caller has counted them and claims their names.

    Args:
        tx: the transaction.
        rows: the values of COLUMNS.

    Raises:
        Taken: an id or a public id exists already.
    """
    await tx.insert_many(_INSERT, rows)


async def claim_names(tx: Tx, claims: Sequence[tuple[str, int]]) -> None:
    """Claim canonical names, each for the user with this id; raises Taken."""
    await tx.insert_many(_INSERT_NAMES, sorted(claims))


_TOUCH: Query[None] = Query(
    sa.update(users).where(users.c.id == bind("row_id")).values(updated_at=bind("now"))
)
_SET_IMPORTED_HASH: Query[None] = Query(
    sa.update(users)
    .where(users.c.id == bind("row_id"))
    .values(
        password_hash=bind("password_hash", sa.Text),
        strong_password=bind("strong_password", sa.Boolean),
        password_reaches=sa.null(),
        hash_imported_at=bind("now"),
    )
)


async def touch(tx: Tx, user_id: int) -> None:
    """Let a user count as changed now."""
    await tx.run(_TOUCH, row_id=user_id, now=tx.now)


async def set_imported_hash(
    tx: Tx, user_id: int, encoded_hash: str, *, strong: bool | None
) -> None:
    """Store the hash of another password, which an import has brought.

    Args:
        tx: the transaction.
        user_id: the user, whose row is locked.
        encoded_hash: the encoded hash.
        strong: whether the password is strong enough for owners; None: unknown.
    """
    await tx.run(
        _SET_IMPORTED_HASH,
        row_id=user_id,
        password_hash=encoded_hash,
        strong_password=strong,
        now=tx.now,
    )


def search_columns(
    username: str, email: str, first_name: str, last_name: str
) -> tuple[str, str, str, str]:
    """Return username_sort, first_name_sort, last_name_sort and search of a user.

    Args:
        username: the username.
        email: the e-mail address; may be empty.
        first_name: the first name.
        last_name: the last name.
    """
    username_sort, first, last = search_key(username), search_key(first_name), search_key(last_name)
    return username_sort, first, last, f"{username_sort}\n{search_key(email)}\n{first}\n{last}"
