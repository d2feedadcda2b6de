"""Rewrites keys, sort keys and search texts after a change of the rules that make them.

It runs inside a migration, on its connection: everything or nothing is rewritten, and no server
ever sees a mixture.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import sqlalchemy as sa

from dragoman.rules.fields import canonical, search_key
from dragoman.rules.vocabulary import AuditAction
from dragoman.store.users import derived_columns

BATCH_SIZE = 5000
"""Number of rows that are read at a time."""
PROGRESS_ROWS = 50_000
"""Number of rows after which progress is reported."""

Report = Callable[[str], None]

_TEXTS = ("username", "email", "first_name", "last_name")
_DERIVED = (
    "username_key", "email_key", "username_sort", "first_name_sort", "last_name_sort", "search",
)  # fmt: skip
_users = sa.table(
    "users",
    *(sa.column(n, sa.BigInteger()) for n in ("id", "tenant_id", "deleted_at", "updated_at")),
    *(sa.column(name, sa.Text()) for name in ("public_id", *_TEXTS, *_DERIVED)),
    sa.column("verified", sa.Boolean()),
)
_names = sa.table("names", sa.column("key", sa.Text()), sa.column("user_id", sa.BigInteger()))
_tenants = sa.table(
    "tenants",
    sa.column("id", sa.BigInteger()),
    *(sa.column(name, sa.Text()) for name in ("name", "slug", "email", "search")),
)
_invitations = sa.table(
    "invitations", sa.column("id", sa.BigInteger()), sa.column("email", sa.Text()),
    sa.column("email_key", sa.Text()),
)  # fmt: skip
_audit = sa.table(
    "audit",
    *(sa.column(n, sa.BigInteger()) for n in ("at", "target_id", "tenant_id")),
    *(
        sa.column(n, sa.Text())
        for n in ("actor_kind", "actor_name", "contract", "action", "target_kind", "fields")
    ),
)


class Account(msgspec.Struct):
    """What decides between two users whose addresses have the same key."""

    id: int
    tenant_id: int | None
    public_id: str
    username: str
    email: str
    verified: bool
    username_key: str
    email_key: str

    def precedes(self, other: Account) -> bool:
        """Return whether this user keeps a key that both have: the proven one, else the older."""
        return (not self.verified, self.id) < (not other.verified, other.id)


def run(connection: sa.Connection, report: Report) -> list[str]:
    """Rewrite all rows whose keys differ, and return the usernames of users without their key.

    Args:
        connection: the connection of the migration, within its transaction.
        report: called with a line of text as the work goes on.
    """
    _rewrite_tenants(connection)
    _rewrite_invitations(connection)
    total = connection.scalar(sa.select(sa.func.count()).select_from(_users)) or 0
    changed: list[int] = []
    done = reported = 0
    for rows in _batches(connection):
        changed += _rewrite_texts(connection, rows)
        done += len(rows)
        if done - reported >= PROGRESS_ROWS:
            report(f"rewriting names and search texts: {done:,} of {total:,} users")
            reported = done
    displaced = _Keys(connection).rewrite(changed)
    for account in displaced:
        report(
            f"user {account.id} ({account.username}): another user keeps the address "
            f"{account.email}; this one signs in by username until it gets another address"
        )
    return [account.username for account in displaced]


def _batches(connection: sa.Connection) -> Iterator[list[Any]]:
    query = (
        sa.select(_users)
        .where(_users.c.deleted_at.is_(None), _users.c.id > sa.bindparam("after"))
        .order_by(_users.c.id)
        .limit(BATCH_SIZE)
    )
    after = 0
    while rows := list(connection.execute(query, {"after": after})):
        yield rows
        after = rows[-1].id


_WRITE_TEXTS = (
    sa.update(_users)
    .where(_users.c.id == sa.bindparam("row_id"))
    .values({name: sa.bindparam(f"new_{name}") for name in _DERIVED[2:]})
)


def _rewrite_texts(connection: sa.Connection, rows: list[Any]) -> list[int]:
    """Write sort keys and search texts that differ; return the ids of users with other keys."""
    other_keys: list[int] = []
    updates: list[dict[str, Any]] = []
    for row in rows:
        derived = derived_columns(row._mapping)
        if any(getattr(row, name) != derived[name] for name in _DERIVED[2:]):
            texts = {f"new_{name}": derived[name] for name in _DERIVED[2:]}
            updates.append({"row_id": row.id, **texts})
        if any(getattr(row, name) != derived[name] for name in _DERIVED[:2]):
            other_keys.append(row.id)
    if updates:
        connection.execute(_WRITE_TEXTS, updates)
    return other_keys


class _Keys:
    """The keys of users, while some of them become other ones."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._displaced: dict[int, Account] = {}

    def rewrite(self, user_ids: list[int]) -> list[Account]:
        """Give these users their new keys; return the users who have to do without one."""
        for user_id in sorted(user_ids):
            account = self._get(user_id)
            if account is not None:
                self._move(account)
        return list(self._displaced.values())

    def _get(self, user_id: int) -> Account | None:
        columns = [_users.c[name] for name in Account.__struct_fields__]
        query = sa.select(*columns).where(_users.c.id == user_id, _users.c.deleted_at.is_(None))
        row = self._connection.execute(query).first()
        return None if row is None else Account(*row)

    def _holder(self, key: str) -> Account | None:
        query = sa.select(_names.c.user_id).where(_names.c.key == key)
        user_id = self._connection.scalar(query)
        return None if user_id is None else self._get(user_id)

    def _move(self, account: Account) -> None:
        """Give a user its new keys, or leave them to users who have a better right to them."""
        wanted = {canonical(account.username), canonical(account.email)} - {""}
        others = [(key, self._holder(key)) for key in wanted]
        rivals = [(key, h) for key, h in others if h is not None and h.id != account.id]
        lost = {key for key, rival in rivals if not account.precedes(rival)}
        for key, rival in rivals:
            if key not in lost:
                self._displace(rival, {key})
        if lost:
            self._displace(account, lost)
        else:
            self._save(account, canonical(account.username), canonical(account.email))

    def _displace(self, account: Account, lost: set[str]) -> None:
        """Leave a user without some keys: a username that has one becomes the public id."""
        if canonical(account.username) in lost:
            account.username = account.public_id
        address_key = canonical(account.email)
        if address_key in lost:
            address_key = account.email_key if account.email_key not in lost else ""
        self._save(account, canonical(account.username), address_key)
        self._displaced[account.id] = account
        now = time.time_ns() // 1000
        self._connection.execute(
            sa.insert(_audit).values(
                at=now, actor_kind="system", actor_name="migration", contract="",
                action=AuditAction.KEEP_KEY.value, target_kind="user", target_id=account.id,
                tenant_id=account.tenant_id, fields="email",
            )
        )  # fmt: skip

    def _save(self, account: Account, username_key: str, address_key: str) -> None:
        account.username_key, account.email_key = username_key, address_key
        self._connection.execute(
            sa.update(_users)
            .where(_users.c.id == account.id)
            .values(
                username=account.username,
                username_key=username_key,
                email_key=address_key,
                username_sort=search_key(account.username),
            )
        )
        self._connection.execute(sa.delete(_names).where(_names.c.user_id == account.id))
        for key in sorted({username_key, address_key} - {""}):
            self._connection.execute(sa.insert(_names).values(key=key, user_id=account.id))


def _rewrite_tenants(connection: sa.Connection) -> None:
    for row in list(connection.execute(sa.select(_tenants))):
        search = "\n".join(search_key(text) for text in (row.name, row.slug, row.email))
        if search != row.search:
            connection.execute(
                sa.update(_tenants).where(_tenants.c.id == row.id).values(search=search)
            )


def _rewrite_invitations(connection: sa.Connection) -> None:
    for row in list(connection.execute(sa.select(_invitations))):
        if (key := canonical(row.email)) != row.email_key:
            connection.execute(
                sa.update(_invitations).where(_invitations.c.id == row.id).values(email_key=key)
            )
