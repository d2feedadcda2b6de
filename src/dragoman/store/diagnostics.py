"""Facts about the database, sign-ups and the outbox, for /readyz and ``dragoman doctor``."""

from __future__ import annotations

from pathlib import Path

import msgspec
import sqlalchemy as sa

from dragoman.rules.errors import Unavailable
from dragoman.rules.fields import canonical
from dragoman.rules.policy import LOWEST_ROLE_WITH_ALL_PERMISSIONS
from dragoman.rules.vocabulary import AuditAction
from dragoman.store.query import Query
from dragoman.store.schema import LIVING, audit, metadata, outbox, users
from dragoman.store.transaction import Read


class SqliteInfo(msgspec.Struct, frozen=True):
    """The state of SQLite; ``quick_check`` is ``ok`` or the first error that it found."""

    version: str
    journal_mode: str
    synchronous: int
    quick_check: str


class PostgresInfo(msgspec.Struct, frozen=True):
    """The state of PostgreSQL; ``version_num`` is 180001 for version 18.1."""

    version_num: int
    version: str
    trigram: bool
    synchronous_commit: str
    fsync: str
    full_page_writes: str
    standby: bool


class OutboxInfo(msgspec.Struct, frozen=True):
    """The number of pending and failed mails.

    ``oldest_at`` is when the oldest pending mail was created (microseconds; 0 for none).
    """

    pending: int
    oldest_at: int
    failed: int


class SignUpInfo(msgspec.Struct, frozen=True):
    """How many users registered themselves and are not approved, or have an unproven address.

    ``unvouched`` is the number of those who are approved although nobody vouches for the address.
    """

    unapproved: int
    unproven: int
    unvouched: int


_VERSION: Query[str] = Query(sa.text("SELECT sqlite_version()"))
_JOURNAL: Query[str] = Query(sa.text("PRAGMA journal_mode"))
_SYNCHRONOUS: Query[int] = Query(sa.text("PRAGMA synchronous"))
_QUICK_CHECK: Query[str] = Query(sa.text("PRAGMA quick_check(1)"))
_POSTGRESQL: Query[PostgresInfo] = Query(
    sa.text(
        "SELECT CAST(current_setting('server_version_num') AS integer),"
        " current_setting('server_version'),"
        " EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'),"
        " current_setting('synchronous_commit'), current_setting('fsync'),"
        " current_setting('full_page_writes'), pg_is_in_recovery()"
    ),
    lambda row: PostgresInfo(*row),
)
_EXISTING_COLUMNS: Query[tuple[str, str]] = Query(
    sa.text(
        "SELECT c.relname::text, a.attname::text FROM pg_class AS c"
        " JOIN pg_attribute AS a ON a.attrelid = c.oid"
        " WHERE c.relkind IN ('r', 'p') AND pg_table_is_visible(c.oid)"
        " AND a.attnum > 0 AND NOT a.attisdropped"
    ),
    lambda row: (row[0], row[1]),
    sqlite=sa.text(
        "SELECT m.name, c.name FROM sqlite_schema AS m, pragma_table_info(m.name) AS c"
        " WHERE m.type = 'table'"
    ),
    indexed=True,  # answers readiness probes while lists keep the threads for scans busy
)
_COLUMNS = frozenset(
    (table.name, column.name) for table in metadata.tables.values() for column in table.columns
)
_SQLITE_SEARCH_INDEX = frozenset({("users_search", "search")})
"""The full-text index, which the schema in SQLAlchemy does not contain."""
_KEPT_KEYS: Query[tuple[int, str, str, str]] = Query(
    sa.select(users.c.id, users.c.username, users.c.email, users.c.email_key)
    .where(LIVING)
    .where(
        users.c.id.in_(
            sa.select(audit.c.target_id).where(
                audit.c.target_kind == "user", audit.c.action == AuditAction.KEEP_KEY.value
            )
        )
    )
    .order_by(users.c.id),
    lambda row: (row[0], row[1], row[2], row[3]),
)
_IS_PENDING = sa.and_(outbox.c.sent_at == 0, outbox.c.failed_at == 0)
_PENDING: Query[tuple[int, int]] = Query(
    sa.select(sa.func.count(), sa.func.coalesce(sa.func.min(outbox.c.created_at), 0)).where(
        _IS_PENDING
    ),
    lambda row: (row[0], row[1]),
)
_POSTGRESQL_SIZE: Query[int] = Query(sa.text("SELECT pg_database_size(current_database())"))
_FAILED: Query[int] = Query(
    sa.select(sa.func.count()).select_from(outbox).where(outbox.c.failed_at > 0)
)


async def missing_columns(reader: Read, *, sqlite: bool) -> list[str]:
    """Return the columns that this program needs and the database does not have, as ``table.column``.

    Tables and columns that it does not know belong to a newer version, and are no error.
    """
    existing = await reader.fetch(_EXISTING_COLUMNS)
    required = _COLUMNS | _SQLITE_SEARCH_INDEX if sqlite else _COLUMNS
    return sorted(f"{table}.{column}" for table, column in required.difference(existing))


_IS_UNPROVEN = sa.and_(users.c.email_key != "", sa.not_(users.c.verified))


def _count_where(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


_SIGN_UPS: Query[SignUpInfo] = Query(
    sa.select(
        _count_where(sa.not_(users.c.approved)),
        _count_where(_IS_UNPROVEN),
        _count_where(sa.and_(_IS_UNPROVEN, users.c.approved, sa.not_(users.c.email_assigned))),
    ).where(LIVING, users.c.signed_up),
    lambda row: SignUpInfo(*row),
)


async def sign_up_info(reader: Read) -> SignUpInfo:
    """Return how many users registered themselves and lack approval or proof."""
    return (await reader.fetch(_SIGN_UPS))[0]


_WEAK_STRONG_ROLES: Query[str] = Query(
    sa.select(users.c.username)
    .where(
        LIVING,
        users.c.active,
        users.c.role <= LOWEST_ROLE_WITH_ALL_PERMISSIONS,
        users.c.strong_password.is_(False),
    )
    .order_by(users.c.id)
)


async def weak_passwords(reader: Read) -> list[str]:
    """Return the usernames of owners and platform administrators whose passwords are too weak."""
    return await reader.fetch(_WEAK_STRONG_ROLES)


async def sqlite_info(reader: Read) -> SqliteInfo:
    """Return the state of SQLite; the check reads the whole file."""
    return SqliteInfo(
        version=await reader.fetch_one(_VERSION) or "",
        journal_mode=await reader.fetch_one(_JOURNAL) or "",
        synchronous=await reader.fetch_one(_SYNCHRONOUS) or 0,
        quick_check=await reader.fetch_one(_QUICK_CHECK) or "",
    )


async def postgres_info(reader: Read) -> PostgresInfo:
    """Return the state of PostgreSQL."""
    found = await reader.fetch(_POSTGRESQL)
    return found[0]


async def users_without_address_key(reader: Read) -> list[str]:
    """Return the usernames of users whose address an upgrade gave to another user, by the history.

    They sign in by username until they get another address.
    """
    found = await reader.fetch(_KEPT_KEYS)
    return [name for _, name, email, key in found if canonical(email) != key]


async def database_size(reader: Read, sqlite_path: Path | None) -> int:
    """Return the size of the database in bytes, with SQLite's write-ahead log. Raises Unavailable."""
    if sqlite_path is None:
        return await reader.fetch_one(_POSTGRESQL_SIZE) or 0
    log_path = sqlite_path.with_name(f"{sqlite_path.name}-wal")
    try:
        return sum(path.stat().st_size for path in (sqlite_path, log_path) if path.exists())
    except OSError as error:
        raise Unavailable("database") from error


async def outbox_info(reader: Read) -> OutboxInfo:
    """Return the number of mails in the outbox."""
    pending, oldest_at = (await reader.fetch(_PENDING))[0]
    return OutboxInfo(pending, oldest_at, await reader.fetch_one(_FAILED) or 0)
