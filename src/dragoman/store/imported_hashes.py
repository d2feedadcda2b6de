"""Password hashes that an import brought: counts by scheme, and dropping those never used.

A hash of which ``hash_imported_at`` is not 0 came with an import and was not replaced since. It
has opened something if its user has signed in after that time: most hashes are replaced then, and
those that need not be keep the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa

from dragoman.rules.imported_hashes.prefixes import FLAGS, OTHER, SCHEMES_BY_PREFIX
from dragoman.rules.imported_hashes.verdict import NO_PASSWORD
from dragoman.store.query import Query, bind, in_list
from dragoman.store.schema import LIVING, users
from dragoman.store.transaction import Read, Tx


class AgedHash(NamedTuple):
    """An imported hash that has reached the age at which unused ones are dropped."""

    user_id: int
    tenant_id: int | None
    is_unused: bool


def _has_prefix(prefix: str, start: int = 1) -> sa.ColumnElement[bool]:
    """Return whether the hash goes on with a text at a position; LIKE ignores case on SQLite."""
    return sa.func.substr(users.c.password_hash, start, len(prefix)) == prefix


def _scheme(start: int) -> sa.ColumnElement[str]:
    """Return the name of the scheme of the hash that begins at a position."""
    named = ((_has_prefix(prefix, start), name) for prefix, name in SCHEMES_BY_PREFIX.items())
    return sa.case(*named, else_=OTHER)


_schemes = (
    sa.select(
        sa.case(
            (users.c.password_hash == "", NO_PASSWORD),
            (sa.or_(*(_has_prefix(flag) for flag in FLAGS)), _scheme(1 + len(FLAGS[0]))),
            else_=_scheme(1),
        ).label("scheme")
    )
    .where(LIVING)
    .subquery()
)
_BY_SCHEME: Query[tuple[str, int]] = Query(
    sa.select(_schemes.c.scheme, sa.func.count()).group_by(_schemes.c.scheme),
    lambda row: (row[0], row[1]),
)
_IS_AGED = sa.and_(
    users.c.hash_imported_at > sa.literal_column("0"),
    users.c.hash_imported_at <= bind("imported_until"),
)
_IS_UNUSED = users.c.last_login_at < users.c.hash_imported_at
_UNUSED: Query[int] = Query(
    sa.select(sa.func.count()).select_from(users).where(_IS_AGED, _IS_UNUSED, LIVING)
)
_AGED_ROWS = (
    sa.select(users.c.id, users.c.tenant_id, _IS_UNUSED)
    .where(_IS_AGED)
    .order_by(users.c.hash_imported_at)
    .limit(bind("limit"))
)
_AGED: Query[AgedHash] = Query(
    _AGED_ROWS.with_for_update(),
    lambda row: AgedHash(row[0], row[1], bool(row[2])),
    sqlite=_AGED_ROWS,
)
_DROP: Query[None] = Query(
    sa.update(users)
    .where(in_list(users.c.id, "user_ids"))
    .values(password_hash="", strong_password=sa.null(), hash_imported_at=0)
)
_SETTLE: Query[None] = Query(
    sa.update(users).where(in_list(users.c.id, "user_ids")).values(hash_imported_at=0)
)


async def count_by_scheme(reader: Read) -> dict[str, int]:
    """Return how many users have a hash of each scheme; reads every row."""
    return dict(await reader.fetch(_BY_SCHEME))


async def count_unused(reader: Read, imported_until: int) -> int:
    """Return how many hashes came with an import before a time and have opened nothing since.

    ``imported_until`` is in microseconds.
    """
    return await reader.fetch_one(_UNUSED, imported_until=imported_until) or 0


async def lock_aged(tx: Tx, imported_until: int, limit: int) -> list[AgedHash]:
    """Return the oldest imported hashes from before a time (microseconds); locks their rows."""
    return await tx.fetch(_AGED, imported_until=imported_until, limit=limit)


async def drop(tx: Tx, user_ids: Sequence[int]) -> None:
    """Remove the password hashes of users whose rows are locked: they have no password then."""
    await tx.run(_DROP, user_ids=list(user_ids))


async def settle(tx: Tx, user_ids: Sequence[int]) -> None:
    """Stop to treat hashes as imported, because they have been used; the rows are locked."""
    await tx.run(_SETTLE, user_ids=list(user_ids))
