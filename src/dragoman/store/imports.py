"""Imports: their progress, and what each did with which user."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from dragoman.store.query import BulkInsert, Query, Row, bind, in_list
from dragoman.store.schema import import_rows, imports
from dragoman.store.transaction import Read, Tx

RUNNING, FINISHED, UNDOING, UNDONE = "running", "finished", "undoing", "undone"


class ImportRecord(msgspec.Struct, frozen=True):
    """A row of ``imports``; see the schema for its columns. Times are microseconds since 1970."""

    id: int
    public_id: str
    state: str
    source: str
    digest: str
    options: str
    actor_id: int
    tenant_id: int | None
    tenants: str
    record: int
    line: int
    counts: str
    created_at: int
    updated_at: int
    finished_at: int
    undone_at: int


class ImportRow(msgspec.Struct, frozen=True):
    """What an import did with a user.

    Attributes:
        import_id: the import.
        user_id: the user.
        line: where its record begins in the file.
        digest: the digest of all values of the record.
        created: whether the import created the user.
        written_at: ``updated_at`` of the user after it; 0 if nothing was changed.
        former: the sealed values before an update, as long as they are kept.
    """

    import_id: int
    user_id: int
    line: int
    digest: bytes
    created: bool
    written_at: int
    former: bytes | None = None


def _from_row(row: Row) -> ImportRecord:
    return ImportRecord(*row)


def _row_from_row(row: Row) -> ImportRow:
    return ImportRow(row[0], row[1], row[2], bytes(row[3]), bool(row[4]), row[5], row[6])


_COLUMNS = tuple(imports.c[name] for name in ImportRecord.__struct_fields__)
_SELECT = sa.select(*_COLUMNS)
_BY_PUBLIC_ID: Query[ImportRecord] = Query(
    _SELECT.where(imports.c.public_id == bind("public_id", sa.Text)), _from_row, indexed=True
)
_LOCK: Query[tuple[str, int]] = Query(
    sa.select(imports.c.state, imports.c.record)
    .where(imports.c.id == bind("row_id"))
    .with_for_update(),
    lambda row: (row[0], row[1]),
    sqlite=sa.select(imports.c.state, imports.c.record).where(imports.c.id == bind("row_id")),
)
_LATEST: Query[ImportRecord] = Query(
    _SELECT.order_by(imports.c.id.desc()).limit(bind("limit")), _from_row
)
_UNFINISHED: Query[ImportRecord] = Query(
    _SELECT.where(
        imports.c.digest == bind("digest", sa.Text),
        imports.c.state == RUNNING,
        imports.c.actor_id == bind("actor_id"),
    )
    .order_by(imports.c.id.desc())
    .limit(1),
    _from_row,
    indexed=True,
)
_WRITTEN = (
    "public_id", "state", "source", "digest", "options", "actor_id", "tenant_id", "created_at",
    "updated_at",
)  # fmt: skip
_INSERT: Query[int] = Query(
    sa.insert(imports)
    .values({name: bind(name, type(imports.c[name].type)) for name in _WRITTEN})
    .returning(imports.c.id)
)
_MOVE: Query[None] = Query(
    sa.update(imports)
    .where(imports.c.id == bind("row_id"))
    .values(
        record=bind("record"),
        line=bind("line"),
        counts=bind("counts", sa.Text),
        tenants=bind("tenants", sa.Text),
        updated_at=bind("now"),
    )
)
_SET_STATE: Query[None] = Query(
    sa.update(imports)
    .where(imports.c.id == bind("row_id"))
    .values(
        state=bind("state", sa.Text),
        updated_at=bind("now"),
        finished_at=sa.case(
            (bind("state", sa.Text) == FINISHED, bind("now")), else_=imports.c.finished_at
        ),
        undone_at=sa.case(
            (bind("state", sa.Text) == UNDONE, bind("now")), else_=imports.c.undone_at
        ),
    )
)
_ROW_COLUMNS = tuple(import_rows.c[name] for name in ImportRow.__struct_fields__)
_ROWS_OF_USERS: Query[ImportRow] = Query(
    sa.select(*_ROW_COLUMNS).where(
        in_list(import_rows.c.user_id, "user_ids"),
        sa.or_(import_rows.c.import_id == bind("import_id"), import_rows.c.created),
    ),
    _row_from_row,
    bulk=True,
)
_INSERT_ROWS = BulkInsert(import_rows, [column.name for column in _ROW_COLUMNS])


async def find(reader: Read | Tx, public_id: str) -> ImportRecord | None:
    """Return the import with this public id (``imp_…``), or None."""
    return await reader.fetch_one(_BY_PUBLIC_ID, public_id=public_id)


async def list_latest(reader: Read | Tx, limit: int = 100) -> list[ImportRecord]:
    """Return the newest imports, newest first."""
    return await reader.fetch(_LATEST, limit=limit)


async def find_unfinished(reader: Read | Tx, digest: str, actor_id: int) -> ImportRecord | None:
    """Return the newest import of this file with these options that has not ended, or None.

    Args:
        reader: a reader or a transaction.
        digest: the digest of the file and the options.
        actor_id: who runs it: a user's id; 0 for the command line.
    """
    return await reader.fetch_one(_UNFINISHED, digest=digest, actor_id=actor_id)


async def insert(
    tx: Tx, *, public_id: str, source: str, digest: str, options: str, tenant_id: int | None
) -> int:
    """Insert an import that begins now, and return its id.

    Args:
        tx: the transaction; its actor runs the import.
        public_id: the public id (``imp_…``).
        source: the name of the file.
        digest: the digest of the file and the options.
        options: the options, as JSON.
        tenant_id: the only tenant of which the actor may import users; None: all.
    """
    import_id = await tx.fetch_one(
        _INSERT,
        public_id=public_id,
        state=RUNNING,
        source=source,
        digest=digest,
        options=options,
        actor_id=tx.actor.user_id,
        tenant_id=tenant_id,
        created_at=tx.now,
        updated_at=tx.now,
    )
    assert import_id is not None, "INSERT … RETURNING returns a row"
    return import_id


async def lock_running(tx: Tx, import_id: int, record: int) -> bool:
    """Lock an import, and return whether it is running and has come as far as ``record``."""
    return await tx.fetch_one(_LOCK, row_id=import_id) == (RUNNING, record)


def move(tx: Tx, import_id: int, *, record: int, line: int, counts: str, tenants: str) -> None:
    """Save how far an import has come, in the transaction of what it has written.

    Args:
        tx: the transaction.
        import_id: the import.
        record: the number of records that are done.
        line: the line of the last one.
        counts: what became of the records so far, as JSON.
        tenants: what tenants were like before their first user came, as JSON.
    """
    tx.defer(
        _MOVE,
        row_id=import_id,
        record=record,
        line=line,
        counts=counts,
        tenants=tenants,
        now=tx.now,
    )


async def set_state(tx: Tx, import_id: int, state: str) -> None:
    """Set the state of an import: RUNNING, FINISHED, UNDOING or UNDONE."""
    await tx.run(_SET_STATE, row_id=import_id, state=state, now=tx.now)


async def rows_of_users(
    reader: Read | Tx, import_id: int, user_ids: Sequence[int]
) -> dict[int, list[ImportRow]]:
    """Return what this import did with these users, and which import created each, by user id."""
    found: dict[int, list[ImportRow]] = {}
    if user_ids:
        for row in await reader.fetch(
            _ROWS_OF_USERS, user_ids=sorted(set(user_ids)), import_id=import_id
        ):
            found.setdefault(row.user_id, []).append(row)
    return found


async def insert_rows(tx: Tx, rows: Sequence[ImportRow]) -> None:
    """Store what an import did with users."""
    await tx.insert_many(_INSERT_ROWS, [msgspec.structs.astuple(row) for row in rows])
