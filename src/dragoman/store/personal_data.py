"""Everything that is held about one person, table by table; other people are an id and a role.

``house/test_personal_data.py`` compares COVERED with the schema: a new column that refers to a
user has to be decided about.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import sqlalchemy as sa

from dragoman.rules.model import Role
from dragoman.store.query import Query, bind
from dragoman.store.schema import (
    access,
    addresses,
    audit,
    erasures,
    failures,
    grants,
    group_members,
    groups,
    import_rows,
    imports,
    invitations,
    names,
    one_time,
    outbox,
    permissions,
    tenants,
    tokens,
    users,
)
from dragoman.store.transaction import Snapshot

PAGE_SIZE = 1000
"""Maximum number of rows per query of a section that may be long."""

COVERED = {
    "users.id": "profile", "users.public_id": "profile", "names.user_id": "sign_in_names",
    "group_members.user_id": "groups", "grants.user_id": "permissions",
    "grants.granted_by": "permissions_given", "access.user_id": "access",
    "access.granted_by": "access_given", "invitations.inviter_id": "invitations_sent",
    "invitations.accepted_by": "invitations_received", "tokens.user_id": "sessions",
    "one_time.user_id": "mailed_links", "failures.account": "failed_sign_ins",
    "addresses.user_id": "sign_in_addresses", "audit.actor_id": "history",
    "audit.target_id": "history", "outbox.user_id": "mails", "imports.actor_id": "imports_run",
    "import_rows.user_id": "imports", "erasures.public_id": "erasure",
}  # fmt: skip
"""Every column that refers to a user, and the section in which its rows are exported."""

_ID = bind("user_id")
_EMAIL_KEY = bind("email_key", sa.Text)


class Section(msgspec.Struct, frozen=True):
    """A part of the data: a list of rows, or one object.

    Attributes:
        name: the name of the part.
        columns: the names of its fields.
        statement: selects them; with a last column ``position`` if the section is paged.
        times: the fields that are times (microseconds).
        other: what names another user: field → the field of its role.
        paged: whether it may be long: it is read by the column ``position``.
        single: whether it is one object.
    """

    name: str
    columns: tuple[str, ...]
    statement: Any
    times: frozenset[str]
    people: frozenset[str]
    paged: bool
    single: bool


def _section(
    name: str,
    source: Any,
    where: Any,
    columns: dict[str, Any],
    *,
    position: Any = None,
    single: bool = False,
) -> Section:
    """Return a section; a value of ``columns`` is a column, or an alias of ``users`` for a person."""
    selected: list[Any] = []
    people = {key for key, value in columns.items() if isinstance(value, sa.sql.expression.Alias)}
    for key, value in columns.items():
        selected += [value.c.id, value.c.role] if key in people else [value]
    statement = sa.select(*selected).select_from(source).where(where)
    if position is not None:
        statement = statement.add_columns(position).where(position > bind("after"))
        statement = statement.order_by(position).limit(bind("limit"))
    times = {key for key in columns if key.endswith("_at") or key == "at"}
    return Section(
        name, tuple(columns), statement, frozenset(times), frozenset(people),
        position is not None, single,
    )  # fmt: skip


def _of(table: Any, *skip: str, **renamed: Any) -> dict[str, Any]:
    return {c.name: c for c in table.c if c.name not in skip} | renamed


_granter, _other, _target = users.alias("granter"), users.alias("other"), users.alias("target")
_HAS_ADDRESS = sa.and_(invitations.c.email_key == _EMAIL_KEY, invitations.c.email_key != "")
_IS_ACTOR = sa.and_(audit.c.actor_id == _ID, audit.c.actor_id > sa.literal_column("0"))
_IS_TARGET = sa.and_(audit.c.target_kind == "user", audit.c.target_id == _ID)
_SCHEME_SOURCE = users.c.password_hash
_PROFILE_SKIPPED = (
    "tenant_id", "role", "username_key", "username_sort", "email_key", "first_name_sort",
    "last_name_sort", "search", "password_hash", "strong_password", "hash_imported_at",
    "password_reaches", "auth_epoch",
)  # fmt: skip

SECTIONS: tuple[Section, ...] = (
    _section(
        "profile", users.outerjoin(tenants), users.c.id == _ID,
        _of(users, *_PROFILE_SKIPPED, role=users.c.role, tenant_id=tenants.c.id,
            tenant_slug=tenants.c.slug, tenant_name=tenants.c.name),
        single=True,
    ),
    _section(
        "password", users, users.c.id == _ID,
        {"exists": users.c.password_hash != "", "scheme": _SCHEME_SOURCE,
         "strong_enough_for_an_owner": users.c.strong_password,
         "reaches_characters": users.c.password_reaches,
         "imported_at": users.c.hash_imported_at},
        single=True,
    ),
    _section("sign_in_names", names, names.c.user_id == _ID, {"canonical_form": names.c.key}),
    _section(
        "groups", group_members.join(groups), group_members.c.user_id == _ID,
        {"id": groups.c.id, "name": groups.c.name},
    ),
    _section(
        "permissions",
        grants.join(permissions).outerjoin(_granter, _granter.c.id == grants.c.granted_by),
        grants.c.user_id == _ID,
        {"codename": permissions.c.codename, "granted_by": _granter,
         "granted_at": grants.c.granted_at},
    ),
    _section(
        "permissions_given",
        grants.join(permissions).join(_other, _other.c.id == grants.c.user_id),
        grants.c.granted_by == _ID,
        {"codename": permissions.c.codename, "user": _other, "granted_at": grants.c.granted_at},
    ),
    _section(
        "access", access.outerjoin(_granter, _granter.c.id == access.c.granted_by),
        access.c.user_id == _ID,
        {"resource": access.c.resource, "level": access.c.level, "granted_by": _granter,
         "granted_at": access.c.granted_at},
    ),
    _section(
        "access_given", access.join(_other, _other.c.id == access.c.user_id),
        access.c.granted_by == _ID,
        {"resource": access.c.resource, "level": access.c.level, "user": _other,
         "granted_at": access.c.granted_at},
    ),
    _section(
        "invitations_sent", invitations, invitations.c.inviter_id == _ID,
        _of(invitations, "email", "email_key", "name", "inviter_id", "session_id", "generation",
            "accepted_by"),
        position=invitations.c.id,
    ),
    _section(
        "invitations_received",
        invitations.outerjoin(_other, _other.c.id == invitations.c.inviter_id),
        sa.or_(
            _HAS_ADDRESS,
            sa.and_(invitations.c.accepted_by == _ID, invitations.c.accepted_by > 0),
        ),
        _of(invitations, "email_key", "inviter_id", "session_id", "generation", "accepted_by",
            inviter=_other),
        position=invitations.c.id,
    ),
    _section(
        "sessions", tokens, tokens.c.user_id == _ID,
        {name: tokens.c[name] for name in
         ("id", "contract", "kind", "created_at", "last_used_at", "expires_at", "used_at")},
        position=tokens.c.id,
    ),
    _section(
        "mailed_links", one_time, one_time.c.user_id == _ID,
        {"purpose": one_time.c.purpose, "concerns": one_time.c.data,
         "expires_at": one_time.c.expires_at, "used_at": one_time.c.used_at},
    ),
    _section(
        "failed_sign_ins", failures, failures.c.account == bind("account", sa.Text),
        {"address_digest": failures.c.address, "since_at": failures.c.since,
         "count": failures.c["count"]},
    ),
    _section(
        "sign_in_addresses", addresses, addresses.c.user_id == _ID,
        {"address_digest": addresses.c.address, "last_sign_in_at": addresses.c.last_at},
    ),
    _section(
        "mails", outbox, outbox.c.user_id == _ID,
        {"id": outbox.c.id, "kind": outbox.c.kind,
         "to_this_person": outbox.c.recipient == bind("email", sa.Text),
         "created_at": outbox.c.created_at, "due_at": outbox.c.due_at,
         "sent_at": outbox.c.sent_at, "failed_at": outbox.c.failed_at},
        position=outbox.c.id,
    ),
    _section(
        "imports", import_rows.join(imports, imports.c.id == import_rows.c.import_id),
        import_rows.c.user_id == _ID,
        {"import": imports.c.public_id, "source": imports.c.source, "line": import_rows.c.line,
         "created_the_user": import_rows.c.created, "written_at": import_rows.c.written_at,
         "former_values_are_kept": import_rows.c.former.is_not(None)},
        position=imports.c.id,
    ),
    _section(
        "imports_run", imports, sa.and_(imports.c.actor_id == _ID, imports.c.actor_id > 0),
        {"import": imports.c.public_id, "source": imports.c.source, "state": imports.c.state,
         "created_at": imports.c.created_at, "finished_at": imports.c.finished_at,
         "undone_at": imports.c.undone_at},
        position=imports.c.id,
    ),
    _section(
        "erasure", users.join(erasures, erasures.c.public_id == users.c.public_id),
        users.c.id == _ID, {"erased_at": erasures.c.erased_at},
    ),
    _section(
        "history",
        audit.outerjoin(
            _other, sa.and_(audit.c.actor_kind == "user", _other.c.id == audit.c.actor_id)
        ).outerjoin(
            _target, sa.and_(audit.c.target_kind == "user", _target.c.id == audit.c.target_id)
        ),
        sa.or_(_IS_ACTOR, _IS_TARGET),
        {"id": audit.c.id, "at": audit.c.at, "last_at": audit.c.last_at,
         "count": audit.c["count"], "action": audit.c.action, "contract": audit.c.contract,
         "actor_kind": audit.c.actor_kind, "actor": _other, "target_kind": audit.c.target_kind,
         "target_id": audit.c.target_id, "target": _target, "changed_fields": audit.c.fields,
         "request_id": audit.c.request_id,
         "address": sa.case((sa.or_(_IS_ACTOR, audit.c.actor_id == 0), audit.c.address), else_="")},
        position=audit.c.id,
    ),
)  # fmt: skip
_QUERIES: dict[str, Query[tuple[Any, ...]]] = {
    section.name: Query(section.statement, tuple) for section in SECTIONS
}


async def pages(
    snapshot: Snapshot, section: Section, *, user_id: int, email: str, email_key: str
) -> AsyncGenerator[list[dict[str, Any]]]:
    """Yield the rows of a section in pages; a person in them is an id and the name of its role.

    Args:
        snapshot: the state of the directory that is exported.
        section: one of SECTIONS.
        user_id: the person.
        email: its e-mail address, if it holds it; else empty.
        email_key: the key of that address; empty if it does not hold it.
    """
    given = {"user_id": user_id, "email": email, "email_key": email_key}
    params: dict[str, Any] = {**given, "account": f"user:{user_id}", "limit": PAGE_SIZE}
    after = -1
    while True:
        rows = await snapshot.fetch(_QUERIES[section.name], **params, after=after)
        yield [_named(section, row) for row in rows]
        if not section.paged or len(rows) < PAGE_SIZE:
            return
        after = rows[-1][-1]


def _named(section: Section, row: tuple[Any, ...]) -> dict[str, Any]:
    values = iter(row)
    named: dict[str, Any] = {}
    for name in section.columns:
        if name in section.people:
            user_id, role = next(values), next(values)
            person = {"id": user_id, "role": Role(role).name.lower()} if user_id else None
            named[name] = person
        else:
            value = next(values)
            named[name] = Role(value).name.lower() if name == "role" else value
    return named
