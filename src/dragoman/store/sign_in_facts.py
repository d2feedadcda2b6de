"""What a sign-in looks at, of one user at once: for explanations."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from dragoman.rules.fields import canonical
from dragoman.rules.model import User
from dragoman.store.query import Query, bind
from dragoman.store.schema import names, tenants, users
from dragoman.store.transaction import Read


class SignInFacts(msgspec.Struct, frozen=True):
    """What decides whether a user may sign in.

    Attributes:
        has_password: whether there is a hash that a password can match.
        password_reaches: the length step of the password; None if unknown.
        tenant_active: whether the users of its tenant may sign in; True without a tenant.
        holds_address: whether it can sign in by its e-mail address.
    """

    has_password: bool
    password_reaches: int | None
    tenant_active: bool
    holds_address: bool


_HOLDS_ADDRESS = sa.exists(
    sa.select(names.c.key).where(
        names.c.key == bind("address_key", sa.Text), names.c.user_id == users.c.id
    )
)
_FIND: Query[SignInFacts] = Query(
    sa.select(
        users.c.password_hash != "",
        users.c.password_reaches,
        sa.or_(
            users.c.tenant_id.is_(None),
            sa.and_(sa.func.coalesce(tenants.c.active, sa.false()), tenants.c.deleted_at.is_(None)),
        ),
        _HOLDS_ADDRESS,
    )
    .select_from(users.outerjoin(tenants))
    .where(users.c.id == bind("user_id")),
    lambda row: SignInFacts(bool(row[0]), row[1], bool(row[2]), bool(row[3])),
    indexed=True,
)


async def get(reader: Read, user: User) -> SignInFacts:
    """Return the facts about a user, who may be deleted."""
    found = await reader.fetch_one(_FIND, user_id=user.id, address_key=canonical(user.email))
    assert found is not None, "rows of users are never removed but with their import"
    return found
