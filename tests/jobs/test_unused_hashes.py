"""Imported hashes that opened nothing are dropped in time, in small transactions; doctor warns."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from dragoman import app
from dragoman.actions import sign_in
from dragoman.actions.directory import Directory
from dragoman.jobs import background, doctor
from dragoman.rules import passwords
from dragoman.rules.errors import BadCredentials
from dragoman.rules.model import DAY
from dragoman.settings import Settings
from dragoman.store import imported_hashes
from dragoman.store.query import Query, bind, in_list
from dragoman.store.schema import users
from dragoman.store.transaction import now
from tests.support.databases import query, settings_for
from tests.support.people import (
    CREDENTIAL_FORMAT,
    PASSWORD,
    SYSTEM_ACTOR,
    UserRow,
    anonymous_actor,
    insert_users,
    make_tenant,
    make_user,
    transaction,
)

pytestmark = pytest.mark.anyio

OTHER_PASSWORD = "Correct-Horse-7"
OTHER_HASH = "{SSHA}c5Lyb+5+47Zf+jfXDApWTDEEDl/gjeMFIZmKew=="


_IMPORT: Query[None] = Query(
    sa.update(users)
    .where(in_list(users.c.id, "ids"))
    .values(password_hash=bind("encoded", sa.Text), hash_imported_at=bind("imported_at"))
)
_FORGET_SIGN_IN: Query[None] = Query(
    sa.update(users).where(users.c.id == bind("user_id")).values(last_login_at=1)
)


async def import_hash(
    directory: Directory, user_ids: list[int], days_ago: int, encoded: str = OTHER_HASH
) -> None:
    """Do to users what an import does: store a hash, and when it came."""
    async with transaction(directory) as tx:
        imported_at = tx.now - days_ago * DAY
        await tx.run(_IMPORT, ids=user_ids, encoded=encoded, imported_at=imported_at)


async def hashes(database: str) -> dict[str, tuple[str, int]]:
    rows = await query(database, "SELECT username, password_hash, hash_imported_at FROM users")
    return {name: (encoded, imported_at) for name, encoded, imported_at in rows}


async def add_users(directory: Directory, prefix: str, count: int) -> list[int]:
    async with transaction(directory) as tx:
        return await insert_users(tx, [UserRow(username=f"{prefix}{n}") for n in range(count)])


async def test_only_old_hashes_that_opened_nothing_are_dropped(database: str):
    settings = settings_for(database, imported_hashes_days=90)
    async with app.open_directory(settings) as directory:
        old = await add_users(directory, "old", 3)
        await import_hash(directory, old, 91)
        await import_hash(directory, await add_users(directory, "new", 2), 89)
        home = await make_tenant(directory, "home")
        used = await make_user(directory, "used", tenant_id=home)
        already_ours = passwords.hash_password(PASSWORD)
        await import_hash(directory, [used.id], 91, already_ours)
        await sign_in.sign_in(directory, anonymous_actor(), "used", PASSWORD, CREDENTIAL_FORMAT)
        earlier = await make_user(directory, "earlier", tenant_id=home)
        await sign_in.sign_in(directory, anonymous_actor(), "earlier", PASSWORD, CREDENTIAL_FORMAT)
        async with transaction(directory) as tx:
            await tx.run(_FORGET_SIGN_IN, user_id=earlier.id)
        await import_hash(directory, [earlier.id], 91)
        assert await background.drop_unused_hashes(directory) == 4
        found = await hashes(database)
        assert [found[f"old{n}"] for n in range(3)] == [("", 0)] * 3
        assert found["earlier"] == ("", 0)
        assert found["used"] == (already_ours, 0)
        assert [found[f"new{n}"][0] for n in range(2)] == [OTHER_HASH] * 2
        assert all(found[f"new{n}"][1] for n in range(2))
        rows = await query(
            database,
            "SELECT target_id, fields, actor_kind FROM audit WHERE action = 'users.drop_hash'",
        )
        assert sorted(rows) == sorted((i, "password", "system") for i in [*old, earlier.id])
        assert await background.drop_unused_hashes(directory) == 0


async def test_it_works_in_steps(database: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(background, "HASHES_STEP", 3)
    monkeypatch.setattr(background, "HISTORY_PAUSE_S", 0.0)
    steps: list[int] = []
    lock_aged = imported_hashes.lock_aged

    async def counted(*args: object) -> list[imported_hashes.AgedHash]:
        found = await lock_aged(*args)
        steps.append(len(found))
        return found

    monkeypatch.setattr(imported_hashes, "lock_aged", counted)
    settings = settings_for(database, imported_hashes_days=1)
    async with app.open_directory(settings) as directory:
        await import_hash(directory, await add_users(directory, "old", 7), 2)
        assert await background.purge(directory) == 7
    assert steps == [3, 3, 1]


async def test_by_default_nothing_is_dropped(settings: Settings, database: str):
    async with app.open_directory(settings) as directory:
        await import_hash(directory, await add_users(directory, "old", 1), 30_000)
        assert await background.drop_unused_hashes(directory) == 0
    assert (await hashes(database))["old0"][0] == OTHER_HASH


async def test_a_replaced_hash_is_no_imported_one(settings: Settings, database: str):
    async with app.open_directory(settings) as directory:
        home = await make_tenant(directory, "home")
        mia = await make_user(directory, "mia", tenant_id=home)
        await import_hash(directory, [mia.id], 1, passwords.wrap(OTHER_HASH))
        assert (await hashes(database))["mia"][1] > 0
        visitor = anonymous_actor()
        await sign_in.sign_in(directory, visitor, "mia", OTHER_PASSWORD, CREDENTIAL_FORMAT)
        encoded, imported_at = (await hashes(database))["mia"]
        assert imported_at == 0
        assert encoded.startswith("$argon2id$")


@pytest.mark.parametrize(("days", "ago", "state"), [
    (0, 1_000, doctor.OK), (90, 59, doctor.OK), (90, 61, doctor.WARN), (20, 1, doctor.WARN),
])  # fmt: skip
async def test_doctor_warns_a_month_before(database: str, days: int, ago: int, state: str):
    settings = settings_for(database, imported_hashes_days=days)
    async with app.open_directory(settings) as directory:
        await import_hash(directory, await add_users(directory, "old", 2), ago)
        findings = {found.check: found for found in await doctor.check_database(directory)}
        assert findings["imported hashes"].state == state
        assert findings["imported hashes"].found.startswith("2 have not opened anything yet")
        assert findings["password hashes"].state == doctor.WARN
        assert "ssha 2" in findings["password hashes"].found


async def test_doctor_counts_users_by_scheme(settings: Settings, database: str):
    async with app.open_directory(settings) as directory:
        ids = await add_users(directory, "user", 4)
        await import_hash(directory, ids[:2], 1, "$2b$10$" + "A" * 53)
        findings = {found.check: found for found in await doctor.check_database(directory)}
    found = findings["password hashes"]
    assert found.state == doctor.OK
    assert found.found == "bcrypt 2, argon2id 1, without a password 2"


async def test_a_dropped_hash_opens_nothing(database: str):
    async with app.open_directory(settings_for(database, imported_hashes_days=1)) as directory:
        home = await make_tenant(directory, "home")
        mia = await make_user(directory, "mia", tenant_id=home)
        await import_hash(directory, [mia.id], 2, OTHER_HASH)
        assert await background.drop_unused_hashes(directory) == 1
        assert await imported_hashes.count_unused(directory.read(SYSTEM_ACTOR), now()) == 0
        for password in (OTHER_PASSWORD, PASSWORD, ""):
            with pytest.raises(BadCredentials):
                await sign_in.sign_in(
                    directory, anonymous_actor(), "mia", password, CREDENTIAL_FORMAT
                )
