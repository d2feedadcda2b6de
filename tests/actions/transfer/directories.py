"""Directories as lines of an export: hypothesis makes them, tests load and export them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from hypothesis import strategies as st
from msgspec import UNSET

from dragoman import app
from dragoman.actions.directory import Directory
from dragoman.actions.transfer import export, whole_directory
from dragoman.actions.transfer.directory_format import (
    HEADER,
    AccessEntry,
    DirectoryLine,
    Granted,
    GroupLine,
    TenantLine,
    UserLine,
    encode,
)
from dragoman.actions.transfer.export import ExportOptions
from dragoman.actions.transfer.records import Record, RowProblem
from dragoman.actions.transfer.run import Reporter, RunOptions, Summary
from dragoman.rules import fields
from dragoman.rules.crypto import PUBLIC_ID_LENGTH, READABLE_ALPHABET
from dragoman.rules.policy import PERMISSION_CATALOGUE
from dragoman.store.highest_ids import HighestIds
from dragoman.store.query import Query
from dragoman.store.schema import metadata
from tests.support.databases import settings_for
from tests.support.people import SYSTEM_ACTOR, transaction

CODENAMES = [codename for _, codename, _, _ in PERMISSION_CATALOGUE]
HASHES = (
    "",
    "$argon2id$v=19$m=19456,t=2,p=1$rLVvWG9C4kr3VLdwwDk2rw$vcTUErrhu5QlRqUArhTEnLJfHuPfSyDlHW43eV5yLvg",
    "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
    "pbkdf2_sha256$1000$c2FsdA$Y0Y0n0S3m6bB2Jbw4Uo6jv0Vx0l8wq8m1Fh3d9Kx0p4=",
)
T = TypeVar("T")


def _prose(max_length: int, *, multiline: bool = False) -> st.SearchStrategy[str]:
    """Return texts that a directory takes, with what other formats stumble over."""
    awkward = st.sampled_from(
        ["", "=1+1", "+49 30 1", "'=x", "a;b,c", 'say "hi"', "Zoë Ω 李", "🙂"]
    )
    letters = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=8)
    texts = st.one_of(awkward, letters.map(str.strip))
    if multiline:
        texts |= st.just("one\n\ttwo")
    return texts.filter(
        lambda text: (
            len(text) <= max_length
            and not fields.text_problems(text, "x", max_length=max_length, multiline=multiline)
        )
    )


_EARLIEST, _LATEST = datetime(1990, 1, 1), datetime(2040, 1, 1)  # noqa: DTZ001 - hypothesis adds UTC
MOMENTS = st.datetimes(_EARLIEST, _LATEST, timezones=st.just(UTC))
_MAYBE = st.none() | MOMENTS
_DIGITS = str.maketrans("0123456789", READABLE_ALPHABET[-10:])
_NAMES = st.sampled_from(["ann", "Ann B.", "o'neil", "+plus", "jürgen", "李", "x" * 140])
_HOSTS = st.sampled_from(["acme.test", "localhost", "müller.example"])
_URLS = st.sampled_from(["", "https://acme.test/~a?b=c", "http://127.0.0.1:8000/"])


@st.composite
def _ids(draw: st.DrawFn, count: int) -> list[int]:
    """Return ascending ids, with gaps."""
    return sorted(draw(st.sets(st.integers(1, 10_000), min_size=count, max_size=count)))


@st.composite
def _tenant(draw: st.DrawFn, tenant_id: int) -> TenantLine:
    return TenantLine(
        id=tenant_id,
        public_id=str(uuid.UUID(int=tenant_id)),
        slug=f"t-{tenant_id}",
        name=f"{draw(_prose(100))}{tenant_id}",
        email=draw(st.sampled_from(["", "office@acme.test"])),
        url=draw(_URLS),
        description=draw(_prose(200, multiline=True)),
        active=draw(st.booleans()),
        ever_owned=draw(st.booleans()),
        had_users=draw(st.booleans()),
        created_at=draw(MOMENTS),
        updated_at=draw(MOMENTS),
    )


@st.composite
def _group(draw: st.DrawFn, group_id: int, tenants: list[TenantLine]) -> GroupLine:
    return GroupLine(
        id=group_id,
        tenant=draw(st.sampled_from(tenants)).slug,
        name=f"G{draw(_prose(50))}{group_id}",
        permissions=draw(_codenames()),
        created_at=draw(MOMENTS),
    )


def _codenames() -> st.SearchStrategy[list[str]]:
    return st.sets(st.sampled_from(CODENAMES)).map(lambda found: sorted(found, key=CODENAMES.index))


@st.composite
def _user(
    draw: st.DrawFn, user_id: int, tenants: list[TenantLine], groups: list[GroupLine]
) -> UserLine:
    tenant = draw(st.sampled_from([None, *(each.slug for each in tenants)]))
    own_groups = [each.name for each in groups if each.tenant == tenant]
    codenames = draw(_codenames())
    resources = sorted(draw(st.sets(st.sampled_from(["m1", "m/2", "straße", "x y"]), max_size=3)))
    has_key_elsewhere = draw(st.integers(0, 9)) == 0
    email = f"{draw(st.sampled_from(['a.b', 'ü']))}{user_id}@{draw(_HOSTS)}"
    email = email if has_key_elsewhere or draw(st.booleans()) else ""
    is_address = bool(email) and not has_key_elsewhere and draw(st.booleans())
    verified = draw(st.booleans())
    return UserLine(
        id=user_id,
        public_id=f"{user_id:0{PUBLIC_ID_LENGTH}d}".translate(_DIGITS),
        tenant=tenant,
        role=draw(st.sampled_from(["superadmin", "admin", "owner", "member", "viewer"])),
        username=email if is_address else f"{draw(_NAMES)}{user_id}",
        email=email,
        email_key="" if has_key_elsewhere else UNSET,
        email_verified=verified,
        email_assigned=draw(st.booleans()),
        first_name=draw(_prose(150)),
        last_name=draw(_prose(150)),
        display_name=draw(_prose(301)),
        phone=draw(st.sampled_from(["", "+49 30 1"])),
        bio=draw(_prose(100, multiline=True)),
        url=draw(_URLS),
        company=draw(_prose(100)),
        location=draw(_prose(100)),
        active=draw(st.booleans()),
        approved=draw(st.booleans()),
        verified=verified,
        signed_up=draw(st.booleans()),
        password_reaches=draw(st.sampled_from([None, 0, 8, 15])),
        strong_password=draw(st.sampled_from([None, True, False])),
        created_at=draw(MOMENTS),
        updated_at=draw(MOMENTS),
        last_login_at=draw(_MAYBE),
        groups=[name for name in own_groups if draw(st.booleans())],
        permissions=codenames,
        grants={name: draw(_granted()) for name in codenames} or UNSET,
        access=[draw(_access(resource)) for resource in resources],
        password_hash=draw(st.sampled_from(HASHES)),
        hash_imported_at=draw(_MAYBE),
    )


def _granted() -> st.SearchStrategy[Granted]:
    by = st.integers(0, 2**40)
    return st.builds(Granted, granted_by=by, granted_at=MOMENTS)


@st.composite
def _access(draw: st.DrawFn, resource: str) -> AccessEntry:
    return AccessEntry(
        resource=resource,
        level=draw(st.sampled_from(["read", "write"])),
        granted_by=draw(st.integers(0, 2**40)),
        granted_at=draw(MOMENTS),
    )


@st.composite
def exported_directories(draw: st.DrawFn) -> bytes:
    """Return an export with hashes, as the product writes it."""
    tenant_ids, group_ids, user_ids = (draw(_ids(draw(st.integers(0, n)))) for n in (3, 3, 5))
    tenants = [draw(_tenant(tenant_id)) for tenant_id in tenant_ids]
    groups = [draw(_group(group_id, tenants)) for group_id in group_ids] if tenants else []
    users = [draw(_user(user_id, tenants, groups)) for user_id in user_ids]
    with_users = {user.tenant for user in users}
    for tenant in tenants:
        tenant.had_users = tenant.had_users or tenant.slug in with_users
    counts = {"tenants": len(tenants), "groups": len(groups), "users": len(users)}
    highest = HighestIds(
        **{
            name: max([0, *(each.id for each in lines)]) + draw(st.integers(0, 3))
            for name, lines in (("tenants", tenants), ("groups", groups), ("users", users))
        }
    )
    lines = [DirectoryLine(**counts, highest_ids=highest), *tenants, *groups, *users]
    return HEADER + encode(lines)


def run(database: str, work: Callable[[Directory], Any]) -> Any:
    """Run a piece of work on the directory of a database."""

    async def opened() -> Any:
        async with app.open_directory(settings_for(database)) as directory:
            return await work(directory)

    return asyncio.run(opened())


async def exported(directory: Directory, **options: Any) -> bytes:
    """Return an export."""
    pieces = export.stream(directory, SYSTEM_ACTOR, ExportOptions(**options))
    return b"".join([piece async for piece in pieces])


class Problems(Reporter):
    """Keeps what is wrong with the lines of a file."""

    def __init__(self) -> None:
        self.found: list[RowProblem] = []

    def refuse(self, record: Record, problems: Sequence[RowProblem]) -> None:
        """Keep the problems."""
        self.found += problems


async def loaded(
    directory: Directory,
    data: bytes,
    folder: Path,
    *,
    reporter: Reporter | None = None,
    dry_run: bool = False,
) -> Summary:
    """Load a file with these bytes."""
    path = folder / "directory.ndjson"
    path.write_bytes(data)
    options = RunOptions(source_name="directory.ndjson", digest="", dry_run=dry_run)
    return await whole_directory.load(
        directory, SYSTEM_ACTOR, path, options, reporter or Reporter()
    )


async def empty(directory: Directory) -> None:
    """Remove every row but the migration's number, and let the ids begin anew."""
    async with transaction(directory) as tx:
        for table in reversed(metadata.sorted_tables):
            await tx.run(Query(sa.delete(table)))
        await tx.run(
            Query(
                sa.text(
                    "SELECT setval('users_id_seq', 1, false), setval('groups_id_seq', 1, false),"
                    " setval('tenants_id_seq', 1, false)"
                ),
                sqlite=sa.text("DELETE FROM sqlite_sequence"),
            )
        )
