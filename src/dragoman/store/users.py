"""Users: find, lock, insert, save and remove.

Every look-up misses users who do not exist at the actor's contract (``policy.exists_for``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from dragoman.rules import policy
from dragoman.rules.actor import Actor
from dragoman.rules.errors import NotFound, Unauthenticated
from dragoman.rules.fields import canonical, email_key, search_key
from dragoman.rules.model import User
from dragoman.store import login_names
from dragoman.store.query import LookupQuery, Query, Row, bind
from dragoman.store.schema import LIVING, names, tenants, users
from dragoman.store.transaction import Read, Tx
from dragoman.store.user_columns import COLUMNS, from_row

_SELECT = sa.select(*COLUMNS).select_from(users.outerjoin(tenants)).where(LIVING)
_BY_ID = LookupQuery(
    (sa.BigInteger(),),
    lambda q: (
        sa.select(q.c.n, *COLUMNS)
        .select_from(q)
        .join(users, sa.and_(users.c.id == q.c.k0, LIVING))
        .outerjoin(tenants, tenants.c.id == users.c.tenant_id)
    ),
    lambda row: from_row(row, 1),
)
_WITH_HASH = _SELECT.add_columns(users.c.password_hash)


def _from_row_with_hash(row: Row) -> tuple[User, str]:
    return from_row(row), row[len(COLUMNS)]


_BY_ID_FOR_UPDATE: Query[tuple[User, str]] = Query(
    _WITH_HASH.where(users.c.id == bind("id")).with_for_update(key_share=True, of=users),
    _from_row_with_hash,
    sqlite=_WITH_HASH.where(users.c.id == bind("id")),
)
_BY_LOGIN_NAME: Query[tuple[User, str]] = Query(
    _WITH_HASH.join(names, names.c.user_id == users.c.id).where(
        names.c.key == bind("key", sa.Text)
    ),
    _from_row_with_hash,
    indexed=True,
)
_BY_PUBLIC_ID: Query[User] = Query(
    _SELECT.where(users.c.public_id == bind("public_id", sa.Text)), from_row, indexed=True
)
MAX_ID_DIGITS = 19
"""The number of digits of 2^63, which no id has reached."""
_ID_EVER_GIVEN: Query[int] = Query(
    sa.select(users.c.id).where(
        sa.or_(users.c.id == bind("id"), users.c.public_id == bind("public_id", sa.Text))
    ),
    indexed=True,
)
_PASSWORD_HASH: Query[str] = Query(
    sa.select(users.c.password_hash).where(users.c.id == bind("id"), LIVING), indexed=True
)
_STILL_VALID: Query[int] = Query(
    sa.select(users.c.id)
    .outerjoin(tenants, tenants.c.id == users.c.tenant_id)
    .where(
        users.c.id == bind("id"),
        LIVING,
        users.c.active,
        users.c.auth_epoch == bind("epoch"),
        sa.or_(tenants.c.id.is_(None), tenants.c.active),
        sa.func.coalesce(tenants.c.auth_epoch, 0) == bind("tenant_epoch"),
    )
)


async def find(reader: Read, user_id: int) -> User | None:
    """Return the user with this id, or None."""
    user = reader.prefetched_user
    if user is None or user.id != user_id:
        user = await reader.driver.look_up(_BY_ID, (user_id,))
    return user if user and policy.exists_for(reader.actor, approved=user.approved) else None


async def get(tx: Tx, user_id: int) -> User:
    """Return the user with this id and lock its row until the end of the transaction.

    Raises:
        NotFound: there is no such user.
        Unauthenticated: the row is the caller's own, and its sessions were revoked while waiting
            for the lock.
    """
    user, _ = await get_with_hash(tx, user_id)
    return user


async def get_with_hash(tx: Tx, user_id: int) -> tuple[User, str]:
    """Return a user like ``get``, with the encoded hash of its password."""
    found = await tx.fetch_one(_BY_ID_FOR_UPDATE, id=user_id)
    if tx.actor.is_user(user_id) and (
        found is None or found[0].auth_epoch != tx.actor.auth_epoch + tx.own_revocations
    ):
        raise Unauthenticated("unknown")
    if found is None or not policy.exists_for(tx.actor, approved=found[0].approved):
        raise NotFound
    return found


async def lock_anywhere(tx: Tx, user_id: int) -> User | None:
    """Lock a user's row and return the user, also if it does not exist at the actor's contract."""
    found = await tx.fetch_one(_BY_ID_FOR_UPDATE, id=user_id)
    return found[0] if found else None


async def find_by_login_name(reader: Read | Tx, login_name: str) -> User | None:
    """Return the user with this username or e-mail address, or None."""
    found = await find_with_hash(reader, login_name)
    return found[0] if found else None


async def find_with_hash(reader: Read | Tx, login_name: str) -> tuple[User, str] | None:
    """Return a user like ``find_by_login_name``, with the encoded hash of its password."""
    login_name = login_name.strip()
    if not login_name.isprintable():
        return None  # PostgreSQL rejects NUL and lone surrogates, which no login name contains
    found = await reader.fetch_one(_BY_LOGIN_NAME, key=canonical(login_name))
    exists = found and policy.exists_for(reader.actor, approved=found[0].approved)
    return found if exists else None


async def find_by_public_id(reader: Read | Tx, public_id: str) -> User | None:
    """Return the user with this public id, or None."""
    user = await reader.fetch_one(_BY_PUBLIC_ID, public_id=public_id)
    return user if user and policy.exists_for(reader.actor, approved=user.approved) else None


async def find_id(reader: Read | Tx, reference: str) -> int | None:
    """Return the id of a user by its id or public id, also of a deleted one; or None."""
    is_number = reference.isascii() and reference.isdigit() and len(reference) < MAX_ID_DIGITS
    if not (reference.isascii() and reference.isalnum()):
        return None
    user_id = int(reference) if is_number else 0
    return await reader.fetch_one(_ID_EVER_GIVEN, id=user_id, public_id=reference)


async def password_hash(reader: Read | Tx, user_id: int) -> str:
    """Return the encoded hash of a user's password, or an empty string if there is none."""
    return await reader.fetch_one(_PASSWORD_HASH, id=user_id) or ""


async def is_still_valid(tx: Tx, actor: Actor) -> bool:
    """Return whether the actor's user and tenant are active and its sessions were not revoked."""
    epochs = {"epoch": actor.auth_epoch, "tenant_epoch": actor.tenant_epoch}
    return await tx.fetch_one(_STILL_VALID, id=actor.user_id, **epochs) is not None


_DEFAULT_COLUMNS = frozenset({"id", "deleted_at", "hash_imported_at"})
_INSERT: Query[int] = Query(
    sa.insert(users)
    .values({c.name: bind(c.name, type(c.type)) for c in users.c if c.name not in _DEFAULT_COLUMNS})
    .returning(users.c.id)
)


async def insert(tx: Tx, row: dict[str, Any]) -> int:
    """Insert a user and return its id; the caller claims its login names (``claim_names``)."""
    row = row | derived_columns(row)
    user_id = await tx.fetch_one(_INSERT, **row)
    assert user_id is not None, "INSERT … RETURNING returns a row"
    tx.count_users(row["tenant_id"], row["role"], row["active"], 1, approved=row["approved"])
    return user_id


async def claim_names(tx: Tx, user_id: int, username: str, email: str) -> None:
    """Claim the login names of a new user.

    Args:
        tx: the transaction.
        user_id: the user's id.
        username: the username.
        email: the e-mail address; may be empty.

    Raises:
        Taken: a name belongs to another user.
    """
    await login_names.claim(tx, user_id, canonical(username), canonical(email))


def derived_columns(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the columns that are computed from the names: keys, sort keys and search text."""
    search_keys = {name: search_key(row[name]) for name in SEARCHED_COLUMNS}
    return {
        "username_key": canonical(row["username"]),
        "email_key": email_key(row["email"]),
        "username_sort": search_keys["username"],
        "first_name_sort": search_keys["first_name"],
        "last_name_sort": search_keys["last_name"],
        "search": "\n".join(search_keys.values()),
    }


KEY_COLUMNS = ("username_key", "email_key")
_KEYS: Query[tuple[str, str]] = Query(
    sa.select(users.c.username_key, users.c.email_key).where(users.c.id == bind("id")),
    lambda row: (row[0], row[1]),
)
SEARCHED_COLUMNS = ("username", "email", "first_name", "last_name")
VERSIONED_COLUMNS = frozenset({"tenant_id", "role", "active", "approved", *SEARCHED_COLUMNS})
"""Columns that determine which lists a user is in, and its position: see ``PageCache``."""
_UPDATES: dict[tuple[str, ...], Query[None]] = {}


async def save(tx: Tx, user: User, changes: dict[str, Any]) -> None:
    """Save changed columns of a user whose row is locked; raises Taken.

    Updates its counters, login names and search text as well, but does not revoke its sessions
    (see ``revoke_sessions``). The key of a name that does not change stays as it is: an upgrade
    may have left a user without the key of its address (``key_rewrite``).
    """
    row: dict[str, Any] = {**changes, "updated_at": tx.now}
    if any(name in changes for name in SEARCHED_COLUMNS):
        searched = {name: changes.get(name, getattr(user, name)) for name in SEARCHED_COLUMNS}
        derived = derived_columns(searched)
        if "username" in changes or "email" in changes:
            [kept] = await tx.fetch(_KEYS, id=user.id)
            keys = {
                "username_key": derived["username_key"] if "username" in changes else kept[0],
                "email_key": derived["email_key"] if "email" in changes else kept[1],
            }
            await login_names.release(tx, user.id)
            await login_names.claim(tx, user.id, **keys)
            row.update(keys)
        row.update((name, text) for name, text in derived.items() if name not in KEY_COLUMNS)
    await _update(tx, user.id, row)
    if changes.keys() & VERSIONED_COLUMNS:
        tx.count_users(user.tenant_id, user.role, user.active, -1, approved=user.approved)
        tx.count_users(
            changes.get("tenant_id", user.tenant_id),
            changes.get("role", user.role),
            changes.get("active", user.active),
            1,
            approved=changes.get("approved", user.approved),
        )


def _update_query(*column_names: str) -> Query[None]:
    query = _UPDATES.get(column_names)
    if query is None:
        values = {name: bind(name, type(users.c[name].type)) for name in column_names}
        query = Query(sa.update(users).where(users.c.id == bind("row_id")).values(values))
        _UPDATES[column_names] = query
    return query


async def _update(tx: Tx, user_id: int, row: dict[str, Any]) -> None:
    await tx.run(_update_query(*sorted(row)), **row, row_id=user_id)


_BUMP_EPOCH: Query[None] = Query(
    sa.update(users)
    .where(users.c.id == bind("id"))
    .values(auth_epoch=users.c.auth_epoch + 1, updated_at=bind("now"))
)
BLANK_FIELDS = {
    "username": "", "username_key": "", "username_sort": "", "email": "", "email_key": "",
    "first_name": "", "first_name_sort": "", "last_name": "", "last_name_sort": "",
    "display_name": "", "phone": "", "bio": "", "url": "", "company": "", "location": "",
}  # fmt: skip


async def revoke_sessions(tx: Tx, user_id: int) -> None:
    """Increment the user's epoch, which revokes every credential when the transaction commits."""
    await tx.run(_BUMP_EPOCH, id=user_id, now=tx.now)
    tx.own_revocations += tx.actor.is_user(user_id)


def record_sign_in(
    tx: Tx, user_id: int, *, strong_password: bool | None = None, reaches: int | None = None
) -> None:
    """Record that the user, whose row is locked, has just signed in.

    Args:
        tx: the transaction.
        user_id: the user.
        strong_password: what the sign-in has shown of its password; None if it was known before.
        reaches: the length step that its password reaches; None without a password.
    """
    row: dict[str, Any] = {"last_login_at": tx.now}
    if reaches is not None:
        row["password_reaches"] = reaches
    if strong_password is not None:
        row["strong_password"] = strong_password
    tx.defer(_update_query(*sorted(row)), **row, row_id=user_id)


async def set_password(
    tx: Tx, user_id: int, encoded_hash: str, *, strong: bool, reaches: int | None
) -> None:
    """Store the encoded hash of a new password.

    Args:
        tx: the transaction.
        user_id: the user, whose row is locked.
        encoded_hash: the encoded hash.
        strong: whether the password is strong enough for owners and platform administrators.
        reaches: the length step that the password reaches (``rules.passwords.length_step``).
    """
    replaced = {"password_hash": encoded_hash, "hash_imported_at": 0}
    shown = {"strong_password": strong, "password_reaches": reaches}
    await _update(tx, user_id, {**replaced, **shown})


async def set_password_hash(tx: Tx, user_id: int, encoded_hash: str) -> None:
    """Store another hash of the same password."""
    await _update(tx, user_id, {"password_hash": encoded_hash, "hash_imported_at": 0})


async def remove(tx: Tx, user: User, *, erase: bool) -> None:
    """Delete a user: its row remains as a tombstone, its login names become available.

    ``erase`` also blanks every personal field, as some contracts require.
    """
    blank = BLANK_FIELDS if erase else {}
    row = {**blank, "search": "", "password_hash": "", "hash_imported_at": 0}
    row.update(active=False, deleted_at=tx.now)
    await _update(tx, user.id, {**row, "updated_at": tx.now, "last_login_at": user.last_login_at})
    await revoke_sessions(tx, user.id)
    await login_names.release(tx, user.id)
    tx.count_users(user.tenant_id, user.role, user.active, -1, approved=user.approved)


_ANY_USER: Query[int] = Query(sa.select(users.c.id).limit(1), indexed=True)


async def has_ever_had_users(reader: Read | Tx) -> bool:
    """Return whether the directory has ever had a user."""
    return await reader.fetch_one(_ANY_USER) is not None
