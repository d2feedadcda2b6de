"""Export: the directory, or one tenant, as a stream of lines (``directory_format``) or as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from dragoman.actions.directory import Directory
from dragoman.actions.transfer import formula_cells
from dragoman.actions.transfer.directory_format import (
    HEADER,
    AccessEntry,
    DirectoryLine,
    Granted,
    GroupLine,
    TenantLine,
    UserLine,
    encode,
    to_moment,
)
from dragoman.rules import policy
from dragoman.rules.actor import Actor
from dragoman.rules.errors import Forbidden, NotFound, Reason
from dragoman.rules.fields import email_key
from dragoman.rules.model import Role
from dragoman.rules.vocabulary import Action, AuditAction, Reach
from dragoman.store import audit, directory_rows, highest_ids
from dragoman.store.directory_rows import GrantRow, GroupRow, Totals, UserWithGrants
from dragoman.store.transaction import Snapshot

ROLE_NAMES = tuple(role.name.lower() for role in Role)
COLUMNS = (
    "id", "public_id", "tenant", "role", "username", "email", "email_verified", "first_name",
    "last_name", "display_name", "phone", "bio", "url", "company", "location", "active",
    "approved", "signed_up", "strong_password", "created_at", "updated_at", "last_login_at",
    "groups", "permissions", "access",
)  # fmt: skip
"""The columns of a table, after the mark; ``password_hash`` is the last one with hashes."""


class ExportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is exported, and how.

    Attributes:
        format: ``ndjson``: everything; ``csv``: a table of the users.
        tenant_id: the only tenant to export; None for all that the actor may export.
        with_hashes: bring the hashes of passwords along.
        raw: leave cells of a table as they are, even if a spreadsheet takes them for formulas.
    """

    format: Literal["ndjson", "csv"] = "ndjson"
    tenant_id: int | None = None
    with_hashes: bool = False
    raw: bool = False


class ExportProgress(msgspec.Struct):
    """What is in the export as a whole, and how many of its users are done."""

    totals: Totals = Totals(0, 0, 0)
    users_done: int = 0


async def stream(
    directory: Directory,
    actor: Actor,
    options: ExportOptions,
    progress: ExportProgress | None = None,
) -> AsyncGenerator[bytes]:
    """Yield an export in pieces; it holds the directory as it was at one moment.

    It takes as long as its reader does, and blocks no writer meanwhile. Deleted users are not in
    it, and neither are tokens, sessions, history and epochs. The history has it before its first
    piece is read.

    Args:
        directory: the application's shared state.
        actor: who exports; an owner exports its own tenant.
        options: what is exported.
        progress: is kept up to date with each piece.

    Raises:
        Forbidden: the actor may export nothing; or hashes, which are for the command line and
            platform administrators.
        NotFound: the tenant is out of reach.
        Unavailable: the database cannot serve.
    """
    tenant_id = await _authorise(directory, actor, options)
    async with directory.snapshot() as snapshot:
        progress = progress or ExportProgress()
        progress.totals = await directory_rows.count(snapshot, tenant_id)
        lines = _Lines(actor, with_hashes=options.with_hashes)
        if options.format == "csv":
            pieces = _table(snapshot, lines, tenant_id, options, progress)
        else:
            pieces = _document(snapshot, lines, tenant_id, progress)
        async for piece in pieces:
            yield piece


async def _authorise(directory: Directory, actor: Actor, options: ExportOptions) -> int | None:
    """Return the only tenant to export, or None for all; write the export into the history."""
    reach = policy.require_reach(actor, Action.EXPORT_USERS)
    tenant_id = options.tenant_id
    if reach is not Reach.ANY:
        if options.with_hashes or actor.tenant_id is None:
            raise Forbidden(Reason.FUNCTION)
        if tenant_id not in {None, actor.tenant_id}:
            raise NotFound
        tenant_id = actor.tenant_id
    async with directory.begin(actor) as tx:
        audit.write(
            tx,
            AuditAction.EXPORT_USERS,
            target_kind="directory" if tenant_id is None else "tenant",
            target_id=tenant_id or 0,
            tenant_id=tenant_id,
            fields=("password_hash",) if options.with_hashes else (),
        )
    return tenant_id


class _Lines:
    """Makes the lines of rows; tenants and groups come before the users that name them.

    Args:
        actor: who exports; it sees e-mail addresses as in a list (``policy.may_view_email``).
        with_hashes: whether hashes are brought along.
    """

    def __init__(self, actor: Actor, *, with_hashes: bool) -> None:
        self._actor = actor
        self._slugs: dict[int, str] = {}
        self._with_hashes = with_hashes
        self._groups: dict[int, str] = {}

    def tenant(self, row: directory_rows.TenantRow) -> TenantLine:
        self._slugs[row.id] = row.slug
        values = msgspec.structs.asdict(row)
        return TenantLine(**values | _moments(values))

    def group(self, row: GroupRow) -> GroupLine:
        self._groups[row.id] = row.name
        return GroupLine(
            id=row.id,
            tenant=self._slugs[row.tenant_id],
            name=row.name,
            permissions=row.permissions,
            created_at=to_moment(row.created_at),
        )

    def user(self, found: UserWithGrants) -> UserLine:
        row = found.user
        shows_email = self._actor.kind == "system" or self._actor.approved
        email = row.email if shows_email or self._actor.is_user(row.id) else ""
        is_key_elsewhere = row.email_key != email_key(row.email)
        grants = {each.name: _granted(each) for each in found.permissions}
        return UserLine(
            id=row.id,
            public_id=row.public_id,
            tenant=None if row.tenant_id is None else self._slugs.get(row.tenant_id),
            role=ROLE_NAMES[row.role],
            username=row.username,
            email=email,
            email_key=row.email_key if is_key_elsewhere and email else UNSET,
            email_verified=row.verified,
            email_assigned=row.email_assigned,
            first_name=row.first_name,
            last_name=row.last_name,
            display_name=row.display_name,
            phone=row.phone,
            bio=row.bio,
            url=row.url,
            company=row.company,
            location=row.location,
            active=row.active,
            approved=row.approved,
            verified=row.verified,
            signed_up=row.signed_up,
            strong_password=row.strong_password,
            password_reaches=row.password_reaches,
            created_at=to_moment(row.created_at),
            updated_at=to_moment(row.updated_at),
            last_login_at=to_moment(row.last_login_at),
            groups=[self._groups[each] for each in found.group_ids if each in self._groups],
            permissions=[each.name for each in found.permissions],
            grants=grants or UNSET,
            access=[_access_entry(each) for each in found.access],
            password_hash=row.password_hash if self._with_hashes else UNSET,
            hash_imported_at=to_moment(row.hash_imported_at) if self._with_hashes else UNSET,
        )


def _moments(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the times among the values of a row as the format has them."""
    return {
        name: to_moment(value)
        for name, value in values.items()
        if name.endswith("_at") and isinstance(value, int)
    }


def _granted(row: GrantRow) -> Granted:
    return Granted(granted_by=row.granted_by, granted_at=to_moment(row.granted_at))


def _access_entry(row: GrantRow) -> AccessEntry:
    return AccessEntry(
        resource=row.name,
        level=row.level,
        granted_by=row.granted_by,
        granted_at=to_moment(row.granted_at),
    )


async def _document(
    snapshot: Snapshot, lines: _Lines, tenant_id: int | None, progress: ExportProgress
) -> AsyncGenerator[bytes]:
    """Yield all lines, in the order of the format."""
    totals = msgspec.structs.asdict(progress.totals)
    highest = await highest_ids.find(snapshot) if tenant_id is None else None
    yield HEADER + encode([DirectoryLine(**totals, highest_ids=highest)])
    async for tenants in directory_rows.iterate_tenants(snapshot, tenant_id):
        yield encode([lines.tenant(row) for row in tenants])
    async for groups in directory_rows.iterate_groups(snapshot, tenant_id):
        yield encode([lines.group(row) for row in groups])
    async for users in directory_rows.iterate_users(snapshot, tenant_id):
        progress.users_done += len(users)
        yield encode([lines.user(found) for found in users])


async def _table(
    snapshot: Snapshot,
    lines: _Lines,
    tenant_id: int | None,
    options: ExportOptions,
    progress: ExportProgress,
) -> AsyncGenerator[bytes]:
    """Yield a table of the users."""
    async for tenants in directory_rows.iterate_tenants(snapshot, tenant_id):
        for row in tenants:
            lines.tenant(row)
    async for groups in directory_rows.iterate_groups(snapshot, tenant_id):
        for group in groups:
            lines.group(group)
    names = (*COLUMNS, "password_hash") if options.with_hashes else COLUMNS
    yield _csv([names if options.raw else (formula_cells.MARK_COLUMN, *names)])
    async for users in directory_rows.iterate_users(snapshot, tenant_id):
        progress.users_done += len(users)
        cells = [_cells(lines.user(found), names) for found in users]
        if not options.raw:
            cells = [["user", *map(formula_cells.defuse, row)] for row in cells]
        yield _csv(cells)


def _cells(line: UserLine, names: Sequence[str]) -> list[str]:
    return [_cell(getattr(line, name)) for name in names]


def _cell(value: object) -> str:
    """Return the text of a value; entries of lists are on lines of their own."""
    match value:
        case None | UnsetType():
            return ""
        case bool():
            return "true" if value else "false"
        case list():
            return "\n".join(map(_entry, value))
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case _:
            return str(value)


def _entry(entry: object) -> str:
    return f"{entry.resource} {entry.level}" if isinstance(entry, AccessEntry) else str(entry)


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    """Return rows as RFC 4180 has them: in UTF-8, each ended by CR and LF."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()
