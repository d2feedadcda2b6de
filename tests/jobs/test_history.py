"""The history: failed sign-ins are one row a day, and old entries are deleted in small steps."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from dragoman import app
from dragoman.actions import sign_in
from dragoman.actions.directory import Directory
from dragoman.jobs import background
from dragoman.rules.errors import BadCredentials
from dragoman.rules.model import DAY
from dragoman.rules.vocabulary import AuditAction
from dragoman.settings import Settings
from dragoman.store import audit
from dragoman.store.transaction import now
from tests.support.databases import query
from tests.support.people import (
    CREDENTIAL_FORMAT,
    PASSWORD,
    SYSTEM_ACTOR,
    anonymous_actor,
    make_tenant,
    make_user,
    transaction,
)
from tests.support.rows import open_rows

pytestmark = pytest.mark.anyio


async def fail(directory: Directory, name: str, address: str, contract: str = "tests") -> None:
    visitor = msgspec.structs.replace(anonymous_actor(address), contract=contract)
    with pytest.raises(BadCredentials):
        await sign_in.sign_in(directory, visitor, name, "wrong", CREDENTIAL_FORMAT)


async def test_failed_sign_ins_are_one_row_a_day_and_contract(settings: Settings, database: str):
    async with app.open_directory(settings) as directory:
        home = await make_tenant(directory, "home")
        mia = await make_user(directory, "mia", tenant_id=home)
        begun = now()
        await asyncio.gather(
            *(fail(directory, "mia", f"192.0.2.{n}") for n in range(6)),
            *(fail(directory, f"nobody{n}", "192.0.2.77") for n in range(6)),
            *(fail(directory, "mia", f"192.0.2.{n}", "other") for n in range(3)),
        )
        for _ in range(2):
            await sign_in.sign_in(directory, anonymous_actor(), "mia", PASSWORD, CREDENTIAL_FORMAT)
        rows = await query(
            database,
            "SELECT target_id, contract, sum(count), count(*), min(at), max(last_at) FROM audit "
            "WHERE action = 'sessions.sign_in_failed' GROUP BY target_id, contract, day",
        )
        counts = {(target, contract): (int(n), k) for target, contract, n, k, _, _ in rows}
        midnight_passed = now() // DAY != begun // DAY
        if not midnight_passed:
            assert counts == {
                (mia.id, "tests"): (6, 1), (mia.id, "other"): (3, 1), (0, "tests"): (6, 1),
            }  # fmt: skip
            assert all(begun <= first <= last <= now() for *_, first, last in rows)
        signed_in = "SELECT count(*) FROM audit WHERE action = 'sessions.sign_in'"
        assert await query(database, signed_in) == [(2,)]  # each is a row
        totals = await audit.daily_totals(
            directory.read(SYSTEM_ACTOR), AuditAction.SIGN_IN_FAILED, first_day=begun // DAY
        )
        by_contract = {total.contract: 0 for total in totals}
        for total in totals:
            by_contract[total.contract] += total.count
        assert by_contract == {"other": 3, "tests": 12}


@pytest.mark.parametrize("days", [30, 0])
async def test_old_entries_are_deleted_in_small_steps(
    settings: Settings, database: str, days: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(background, "HISTORY_STEP", 10)
    monkeypatch.setattr(background, "HISTORY_PAUSE_S", 0)
    given = msgspec.structs.replace(settings, audit_days=days)
    async with app.open_directory(given) as directory:
        async with transaction(directory) as tx:
            for _ in range(35):
                audit.write(tx, AuditAction.CREATE_USER, target_id=7)
        ((newest,),) = await query(database, "SELECT max(id) FROM audit")
        rows = await open_rows(database)
        old = f"UPDATE audit SET at = at - {31 * DAY} WHERE id <= {newest - 5}"
        await rows.execute([(old, [])])
        await rows.close()
        steps: list[int] = []
        plain = audit.purge

        async def counted(tx, cutoff, limit):
            steps.append(await plain(tx, cutoff, limit))
            return steps[-1]

        monkeypatch.setattr(background.audit, "purge", counted)
        await background.purge(directory)
    left = await query(database, "SELECT id FROM audit ORDER BY id")
    if days:
        assert [row[0] for row in left] == list(range(newest - 4, newest + 1))
        assert max(steps) <= 10
    else:
        assert len(left) > 35
