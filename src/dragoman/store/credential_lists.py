"""Lists of credentials, with whether each is still valid; never their secrets."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from dragoman.rules.model import Token
from dragoman.store.query import Query, Row, bind
from dragoman.store.schema import tenants, tokens, users
from dragoman.store.transaction import Read, Tx

MAX_LISTED = 1000
"""Maximum number of credentials per page."""


class ListedCredential(msgspec.Struct, frozen=True):
    """A credential and its state.

    Attributes:
        token: the credential.
        username: its user's username.
        idle_until: when it expires unless it is used (microseconds).
        used_at: when a refresh token was used up (microseconds); 0 if it was not.
        live: whether its contract accepts it now.
    """

    token: Token
    username: str
    idle_until: int
    used_at: int
    live: bool


_TOKEN = tuple(tokens.c[name] for name in Token.__struct_fields__)
_LIVE = sa.and_(
    users.c.deleted_at.is_(None),
    users.c.active,
    sa.func.coalesce(tenants.c.active, sa.true()),
    tokens.c.used_at == 0,
    tokens.c.user_epoch == users.c.auth_epoch,
    tokens.c.tenant_epoch == sa.func.coalesce(tenants.c.auth_epoch, 0),
    tokens.c.idle_until > bind("now"),
    tokens.c.expires_at > bind("now"),
)


def _from_row(row: Row) -> ListedCredential:
    values = tuple(row)
    size = len(_TOKEN)
    username, idle_until, used_at, live = values[size:]
    return ListedCredential(Token(*values[:size]), username, idle_until, used_at, bool(live))


def _query(*conditions: Any) -> Query[ListedCredential]:
    return Query(
        sa.select(*_TOKEN, users.c.username, tokens.c.idle_until, tokens.c.used_at, _LIVE)
        .select_from(tokens.join(users, users.c.id == tokens.c.user_id).outerjoin(tenants))
        .where(tokens.c.id < bind("before"), *conditions)
        .order_by(tokens.c.id.desc())
        .limit(bind("limit")),
        _from_row,
    )


_OF_USER = tokens.c.user_id == bind("user_id")
_QUERIES = {
    (of_user, live_only): _query(*([_OF_USER] if of_user else []), *([_LIVE] if live_only else []))
    for of_user in (False, True)
    for live_only in (False, True)
}
_BY_ID: Query[Token] = Query(
    sa.select(*_TOKEN).where(tokens.c.id == bind("id")), lambda row: Token(*row), indexed=True
)
NO_ID_YET = 2**63 - 1
"""An id that no credential has reached."""


async def find(reader: Read | Tx, token_id: int) -> Token | None:
    """Return the credential with this id, or None."""
    return await reader.fetch_one(_BY_ID, id=token_id)


async def page(
    reader: Read,
    *,
    user_id: int | None = None,
    live_only: bool = False,
    before: int = NO_ID_YET,
    limit: int = MAX_LISTED,
) -> list[ListedCredential]:
    """Return credentials, newest first.

    Args:
        reader: the reader.
        user_id: only those of this user.
        live_only: only those that are accepted now.
        before: only those with a smaller id: the last one of the previous page.
        limit: the maximum number of credentials.
    """
    query = _QUERIES[user_id is not None, live_only]
    return await reader.fetch(query, user_id=user_id, before=before, limit=limit, now=reader.now)
