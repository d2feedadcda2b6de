"""Creates the people of an import: many rows in a handful of statements."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import compress
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from dragoman.actions import password_resets
from dragoman.actions.steps import give_way
from dragoman.actions.steps.create_user import full_name
from dragoman.actions.transfer import runs
from dragoman.actions.transfer.changes import is_verified
from dragoman.actions.transfer.identity import Identity, identify
from dragoman.actions.transfer.matching import Verdict
from dragoman.actions.transfer.records import ImportedUser, OutcomeKind
from dragoman.actions.transfer.runs import ImportRun
from dragoman.rules import crypto, policy
from dragoman.rules.errors import Inactive, Invalid, NotFound, Problem, RateLimited
from dragoman.rules.model import Role
from dragoman.rules.vocabulary import Action, AuditAction
from dragoman.store import audit, bulk_users, tenants
from dragoman.store.transaction import Tx


class _NewUser(msgspec.Struct):
    """A row that becomes a user: its place among the rows, and what the row does not say."""

    index: int
    row: ImportedUser
    identity: Identity
    tenant_id: int | None
    role: Role
    user_id: int = 0


async def create(
    tx: Tx, run: ImportRun, rows: Sequence[ImportedUser], verdicts: Sequence[Verdict]
) -> dict[int, int]:
    """Create the people of the rows that are to be created; return their ids by row number.

    Args:
        tx: the transaction.
        run: the import.
        rows: the rows of the chunk.
        verdicts: what is to be done with each.

    Raises:
        Taken: a name or an id was taken meanwhile.
        Invalid: a tenant was deleted meanwhile.
    """
    policy.require_reach(tx.actor, Action.IMPORT_USERS)
    new_users = [
        _NewUser(
            index,
            row,
            verdict.identity,
            run.tenant_id(row) if run.tenant_slug(row) else None,
            Role.MEMBER if row.role is UNSET else row.role,
        )
        for index, (row, verdict) in enumerate(zip(rows, verdicts, strict=True))
        if verdict.outcome.kind is OutcomeKind.CREATED and not verdict.done
    ]
    if not new_users:
        return {}
    await _take_over_names(tx, verdicts)
    await _lock_tenants(tx, run, new_users)
    await _assign_ids(tx, new_users)
    await _insert(tx, run, new_users)
    if run.options.invite:
        await _invite(tx, new_users)
    return {new.index: new.user_id for new in new_users}


async def _take_over_names(tx: Tx, verdicts: Sequence[Verdict]) -> None:
    claimed = [v.identity for v in verdicts if v.claimed]
    if claimed:
        names = (name for identity in claimed for name in (identity.username, identity.email))
        await give_way.take_over(tx, *names)


async def _lock_tenants(tx: Tx, run: ImportRun, new_users: Sequence[_NewUser]) -> None:
    """Lock the tenants, in the order of their ids, and note what they were like before."""
    owned = {new.tenant_id for new in new_users if new.role is Role.OWNER}
    for tenant_id in sorted({new.tenant_id for new in new_users if new.tenant_id is not None}):
        try:
            await tenants.get(tx, tenant_id, lock="update" if tenant_id in owned else "share")
        except NotFound:
            raise Invalid(Problem("tenant", "unknown", tenant_id)) from None
        await runs.note_first_users(tx, run, tenant_id, brings_owner=tenant_id in owned)


async def _assign_ids(tx: Tx, new_users: Sequence[_NewUser]) -> None:
    given = [new.row.id for new in new_users if new.row.id is not UNSET]
    missing = [new for new in new_users if new.row.id is UNSET]
    ids = await bulk_users.next_ids(tx, len(missing), above=max(given, default=0))
    for new, user_id in zip(missing, ids, strict=True):
        new.user_id = user_id
    for new in new_users:
        if new.row.id is not UNSET:
            new.user_id = new.row.id


async def _insert(tx: Tx, run: ImportRun, new_users: Sequence[_NewUser]) -> None:
    public_ids = crypto.generate_public_ids(len(new_users))
    user_rows: list[tuple[Any, ...]] = []
    claims: list[tuple[str, int]] = []
    for new, public_id in zip(new_users, public_ids, strict=True):
        values = _user_row(tx, run, new, public_id)
        user_rows.append(values)
        username_key, email_key = new.identity.username_key, new.identity.email_key
        claims.append((username_key, new.user_id))
        if email_key and email_key != username_key:
            claims.append((email_key, new.user_id))
        tx.count_users(new.tenant_id, new.role, values[_ACTIVE], 1, approved=values[_APPROVED])
    await bulk_users.insert(tx, user_rows)
    await bulk_users.claim_names(tx, claims)
    targets = [(new.user_id, new.tenant_id, _said_fields(new.row)) for new in new_users]
    await audit.write_many(tx, AuditAction.IMPORT_USER, targets)


_ACTIVE, _APPROVED = (bulk_users.COLUMNS.index(name) for name in ("active", "approved"))


def _text(value: str | UnsetType) -> str:
    return "" if value is UNSET else value


def _user_row(tx: Tx, run: ImportRun, new: _NewUser, public_id: str) -> tuple[Any, ...]:
    """Return the values of a new user in the order of ``bulk_users.COLUMNS``."""
    row = new.row
    password_hash = _text(row.password_hash)
    return (
        new.user_id,
        row.public_id or public_id,
        new.tenant_id,
        int(new.role),
        *texts(row),
        password_hash,
        None if row.strong_password is UNSET or not password_hash else row.strong_password,
        tx.now if password_hash else 0,
        row.active is not False,
        row.approved is not False,
        False,
        is_verified(run, row),
        bool(new.identity.email),
        0,
        tx.now if row.created_at is UNSET else row.created_at,
        tx.now,
        0 if row.last_login_at is UNSET else min(row.last_login_at, tx.now - 1),
    )


def texts(row: ImportedUser) -> tuple[str, ...]:
    """Return a new user's values of the columns from ``username`` to ``search``, in their order.

    They are kept with the row.
    """
    found: tuple[str, ...] | None = vars(row).get("texts")
    if found is None:
        found = vars(row)["texts"] = _texts(row, identify(row))
    return found


def _texts(row: ImportedUser, identity: Identity) -> tuple[str, ...]:
    first_name, last_name = _text(row.first_name), _text(row.last_name)
    username_sort, first_name_sort, last_name_sort, search = bulk_users.search_columns(
        identity.username, identity.email, first_name, last_name
    )
    return (
        identity.username,
        identity.username_key,
        username_sort,
        identity.email,
        identity.email_key,
        first_name,
        first_name_sort,
        last_name,
        last_name_sort,
        row.display_name or full_name(first_name, last_name),
        _text(row.phone),
        _text(row.bio),
        _text(row.url),
        _text(row.company),
        _text(row.location),
        search,
    )


_NOT_SAID = frozenset({"line", "plain_password", "weak_hash", "strong_password"})


def _said_fields(row: ImportedUser) -> str:
    """Return the names of the fields that a row brings, for the history."""
    values = msgspec.structs.astuple(row)
    return _joined_names(tuple([value is not UNSET and value != "" for value in values]))


@lru_cache(maxsize=1000)
def _joined_names(said: tuple[bool, ...]) -> str:
    names = compress(ImportedUser.__struct_fields__, said)
    return " ".join(
        sorted("password" if n == "password_hash" else n for n in names if n not in _NOT_SAID)
    )


async def _invite(tx: Tx, new_users: Sequence[_NewUser]) -> None:
    """Mail those who have no password a link to set one, as far as the limits allow."""
    for new in new_users:
        if not new.row.password_hash and new.identity.email:
            try:
                await password_resets.send_link(tx, new.user_id)
            except (RateLimited, Inactive):
                continue
