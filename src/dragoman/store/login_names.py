"""Login names: a username or e-mail address belongs to at most one user of the directory."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from dragoman.rules.errors import Taken
from dragoman.rules.fields import canonical
from dragoman.store.query import Query, bind, in_list
from dragoman.store.schema import LIVING, names, users
from dragoman.store.transaction import Read, Tx

_PUBLIC_ID = "PUBLIC_ID"  # stands for a key; in upper case, so that no key equals it
_JSON_KEYS = sa.func.json_each(bind("keys", sa.Text)).table_valued("value")
_CLAIM_ROWS = sa.select(
    sa.func.unnest(sa.bindparam("keys", type_=sa.ARRAY(sa.Text()))), bind("user_id")
)
_CLAIM: Query[str] = Query(
    postgres_insert(names)
    .from_select(["key", "user_id"], _CLAIM_ROWS)
    .on_conflict_do_nothing()
    .returning(names.c.key),
    sqlite=sqlite_insert(names)
    .from_select(
        ["key", "user_id"], sa.select(_JSON_KEYS.c.value, bind("user_id")).where(sa.true())
    )
    .on_conflict_do_nothing()
    .returning(names.c.key),
)
_RELEASE: Query[None] = Query(sa.delete(names).where(names.c.user_id == bind("user_id")))
_IS_CLAIM = sa.and_(
    users.c.email_key == names.c.key,
    sa.not_(users.c.verified),
    sa.not_(users.c.email_assigned),
)
"""Condition: the name is an e-mail address that only its holder claims, so it gives way."""
_HOLDERS: Query[tuple[str, int, bool]] = Query(
    sa.union_all(
        sa.select(names.c.key, names.c.user_id, _IS_CLAIM)
        .join(users, users.c.id == names.c.user_id)
        .where(in_list(names.c.key, "keys")),
        sa.select(sa.literal_column(f"'{_PUBLIC_ID}'"), users.c.id, sa.false()).where(
            users.c.public_id == bind("username", sa.Text), LIVING
        ),
    ),
    lambda row: (row[0], row[1], bool(row[2])),
)
_CLAIMANTS: Query[int] = Query(
    sa.select(names.c.user_id)
    .distinct()
    .join(users, users.c.id == names.c.user_id)
    .where(in_list(names.c.key, "keys"), _IS_CLAIM, names.c.user_id != bind("exclude_id"))
    .order_by(names.c.user_id)
)

END = "\U0010ffff"
"""The character that no other follows, in the order of the keys."""
_BY_PREFIX: Query[tuple[str, str, str]] = Query(
    sa.select(names.c.key, users.c.username, users.c.email)
    .join(users, sa.and_(users.c.id == names.c.user_id, LIVING))
    .where(names.c.key >= bind("first", sa.Text), names.c.key < bind("end", sa.Text))
    .order_by(names.c.key)
    .limit(bind("limit")),
    lambda row: (row[0], row[1], row[2]),
    indexed=True,
)


async def list_by_prefix(reader: Read, prefix: str, limit: int) -> list[tuple[str, str]]:
    """Return login names that begin with a text, each with the other one of the same user.

    Args:
        reader: the reader.
        prefix: how the names begin; upper and lower case are the same.
        limit: the maximum number of names.
    """
    first = canonical(prefix)
    found = await reader.fetch(_BY_PREFIX, first=first, end=first + END, limit=limit)
    return [
        (username, email) if key == canonical(username) else (email, username)
        for key, username, email in found
    ]


async def claim(tx: Tx, user_id: int, username_key: str, email_key: str) -> None:
    """Claim canonical login names for a user.

    Args:
        tx: the transaction.
        user_id: the user's id.
        username_key: the canonical username.
        email_key: the canonical e-mail address; may be empty.

    Raises:
        Taken: a name belongs to another user.
    """
    keys = sorted({key for key in (username_key, email_key) if key})
    claimed = set(await tx.fetch(_CLAIM, keys=keys, user_id=user_id))
    if username_key not in claimed:
        raise Taken("username")
    if email_key and email_key not in claimed:
        raise Taken("email")


async def taken(
    reader: Read | Tx,
    *,
    username: str,
    email: str,
    exclude_id: int = 0,
    takes_over: bool = False,
) -> list[str]:
    """Return which of ``username`` and ``email`` belong to another user, as either of the two.

    A username must not be another user's public id either: some contracts accept both in a path.

    Args:
        reader: a reader or a transaction.
        username: the username.
        email: the e-mail address; may be empty.
        exclude_id: the id of the user whose own names do not count; 0 for none.
        takes_over: do not count e-mail addresses that their holders only claim.
    """
    keys = {"username": canonical(username), "email": canonical(email)}
    unique_keys = sorted({key for key in keys.values() if key})
    holders = await reader.fetch(_HOLDERS, keys=unique_keys, username=username.strip())
    others = {
        key
        for key, user_id, is_claim in holders
        if user_id != exclude_id and not (takes_over and is_claim)
    }
    taken_fields = [field for field, key in keys.items() if key in others]
    if _PUBLIC_ID in others and "username" not in taken_fields:
        taken_fields.insert(0, "username")
    return taken_fields


async def claimants(tx: Tx, keys: Iterable[str], exclude_id: int) -> list[int]:
    """Return the ids of the users, but ``exclude_id``, who only claim one of these addresses."""
    unique_keys = sorted({key for key in keys if key})
    return await tx.fetch(_CLAIMANTS, keys=unique_keys, exclude_id=exclude_id)


async def release(tx: Tx, user_id: int) -> None:
    """Release a user's login names."""
    await tx.run(_RELEASE, user_id=user_id)
