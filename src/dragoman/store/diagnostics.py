"""Facts about the database itself, for whoever examines it (``jobs/doctor.py`` judges them)."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from dragoman.store.query import Query
from dragoman.store.schema import outbox
from dragoman.store.transaction import Read


class Sqlite(msgspec.Struct, frozen=True):
    """What SQLite says of itself; ``quick_check`` is ``ok`` or the first fault that it found."""

    version: str
    journal_mode: str
    synchronous: int
    quick_check: str


class Postgresql(msgspec.Struct, frozen=True):
    """What PostgreSQL says of itself; ``version_num`` is 180001 for 18.1."""

    version_num: int
    version: str
    trigram: bool
    synchronous_commit: str
    fsync: str
    full_page_writes: str
    standby: bool


class Mails(msgspec.Struct, frozen=True):
    """How many mails wait, since when (microseconds; 0 for none), and how many were given up."""

    waiting: int
    oldest: int
    failed: int


_VERSION: Query[str] = Query(sa.text("SELECT sqlite_version()"))
_JOURNAL: Query[str] = Query(sa.text("PRAGMA journal_mode"))
_SYNCHRONOUS: Query[int] = Query(sa.text("PRAGMA synchronous"))
_QUICK_CHECK: Query[str] = Query(sa.text("PRAGMA quick_check(1)"))
_POSTGRESQL: Query[Postgresql] = Query(
    sa.text(
        "SELECT CAST(current_setting('server_version_num') AS integer),"
        " current_setting('server_version'),"
        " EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'),"
        " current_setting('synchronous_commit'), current_setting('fsync'),"
        " current_setting('full_page_writes'), pg_is_in_recovery()"
    ),
    lambda row: Postgresql(*row),
)
_WAITS = sa.and_(outbox.c.sent_at == 0, outbox.c.failed_at == 0)
_WAITING: Query[tuple[int, int]] = Query(
    sa.select(sa.func.count(), sa.func.coalesce(sa.func.min(outbox.c.created_at), 0)).where(_WAITS),
    lambda row: (row[0], row[1]),
)
_FAILED: Query[int] = Query(
    sa.select(sa.func.count()).select_from(outbox).where(outbox.c.failed_at > 0)
)


async def sqlite(read: Read) -> Sqlite:
    """Ask SQLite; the check reads the whole file."""
    return Sqlite(
        version=await read.total(_VERSION) or "",
        journal_mode=await read.total(_JOURNAL) or "",
        synchronous=await read.total(_SYNCHRONOUS) or 0,
        quick_check=await read.total(_QUICK_CHECK) or "",
    )


async def postgresql(read: Read) -> Postgresql:
    """Ask PostgreSQL."""
    found = await read.all(_POSTGRESQL)
    return found[0]


async def mails(read: Read) -> Mails:
    """Count what the outbox holds."""
    waiting, oldest = (await read.all(_WAITING))[0]
    return Mails(waiting, oldest, await read.total(_FAILED) or 0)
