"""The oldest row of each kind that is deleted by age."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from dragoman.store.query import Query
from dragoman.store.schema import audit, import_rows, invitations, outbox, tokens
from dragoman.store.transaction import Read


class OldestRows(msgspec.Struct, frozen=True):
    """When the oldest row of each kind was written (microseconds); 0 if there is none.

    Attributes:
        history: the oldest entry.
        invitation: the end of the invitation that ended first.
        credential: the oldest credential.
        mail: the oldest mail.
        former_values: the oldest values from before an update by an import.
    """

    history: int
    invitation: int
    credential: int
    mail: int
    former_values: int


def _first(column: sa.Column[int], table: sa.Table) -> Query[int]:
    """Return the query for a column of the row with the smallest id, which was written first."""
    return Query(sa.select(column).order_by(table.c.id).limit(1), indexed=True)


_HISTORY = _first(audit.c.at, audit)
_CREDENTIAL = _first(tokens.c.created_at, tokens)
_MAIL = _first(outbox.c.created_at, outbox)
_INVITATION: Query[int] = Query(
    sa.select(
        sa.func.min(
            sa.case(
                (invitations.c.accepted_at > 0, invitations.c.accepted_at),
                (invitations.c.revoked_at > 0, invitations.c.revoked_at),
                else_=invitations.c.expires_at,
            )
        )
    )
)
_FORMER: Query[int] = Query(
    sa.select(sa.func.min(import_rows.c.written_at)).where(import_rows.c.former.is_not(None))
)


async def oldest(reader: Read) -> OldestRows:
    """Return when the oldest row of each kind was written."""
    queries = (_HISTORY, _INVITATION, _CREDENTIAL, _MAIL, _FORMER)
    return OldestRows(*[await reader.fetch_one(query) or 0 for query in queries])
