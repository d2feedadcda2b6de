"""What is kept for how long: credentials, mails and invitations go in small steps."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dragoman import app
from dragoman.actions.directory import Directory
from dragoman.jobs import background
from dragoman.jobs.doctor import retention
from dragoman.rules.model import DAY
from dragoman.settings import Settings
from dragoman.store.transaction import now
from tests.support.databases import query
from tests.support.people import SYSTEM_ACTOR, make_tenant, make_user
from tests.support.rows import open_rows

pytestmark = pytest.mark.anyio

STEP = 4


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "HISTORY_STEP", STEP)
    monkeypatch.setattr(background, "HISTORY_PAUSE_S", 0)


async def add(database: str, table: str, *new_rows: dict[str, Any]) -> None:
    rows = await open_rows(database)
    for row in new_rows:
        await rows.add(table, row)
    await rows.close()


async def ids(database: str, table: str) -> list[int]:
    return [row[0] for row in await query(database, f"SELECT id FROM {table} ORDER BY id")]


def invitation(number: int, tenant_id: int, inviter_id: int, **times: int) -> dict[str, Any]:
    return {
        "id": number, "public_id": f"public{number}", "tenant_id": tenant_id,
        "email": f"i{number}@acme.test", "email_key": f"i{number}@acme.test", "role": 3,
        "inviter_id": inviter_id, "created_at": 1, "expires_at": now() + DAY, **times,
    }  # fmt: skip


@pytest.mark.parametrize("days", [30, 3, 0])
async def test_ended_invitations(settings: Settings, database: str, days: int) -> None:
    given = msgspec.structs.replace(settings, invitation_days=days)
    async with app.open_directory(given) as directory:
        tenant_id = await make_tenant(directory, "acme")
        olga = await make_user(directory, "olga", tenant_id=tenant_id)
        past, recent = now() - (days or 30) * DAY - DAY, now() - (days or 30) * DAY + DAY
        ended = [
            {"expires_at": past},
            {"expires_at": past + 7 * DAY - 2, "accepted_at": past, "accepted_by": olga.id},
            {"expires_at": past + 7 * DAY - 2, "revoked_at": past},
        ] * 3
        kept = [
            {"expires_at": recent},
            {"expires_at": recent, "accepted_at": recent - 1},
            {"expires_at": recent, "revoked_at": recent + 1},
            {"expires_at": now() + 7 * DAY},
        ]
        made = [invitation(n, tenant_id, olga.id, **each) for n, each in enumerate([*ended, *kept])]
        await add(database, "invitations", *made)
        purged = await background.purge_invitations(directory)
    left = await ids(database, "invitations")
    expected = range(len(ended), len(made)) if days else range(len(made))
    assert left == list(expected)
    assert purged == len(made) - len(left)


async def test_expired_credentials(settings: Settings, database: str) -> None:
    async with app.open_directory(settings) as directory:
        user = await make_user(directory, "mia", tenant_id=await make_tenant(directory, "acme"))
        future, past = now() + DAY, now() - 1
        made = [
            {
                "id": number, "digest": bytes([number]), "user_id": user.id, "contract": "tests",
                "kind": "session", "user_epoch": 0, "tenant_epoch": 0, "created_at": 1,
                "last_used_at": 1, "idle_until": past if number % 3 == 1 else future,
                "expires_at": past if number % 3 == 2 else future,
            }
            for number in range(1, 22)
        ]  # fmt: skip
        await add(database, "tokens", *made)
        assert await background.purge_credentials(directory) == 14
    assert await ids(database, "tokens") == list(range(3, 22, 3))


async def test_old_mails(settings: Settings, database: str) -> None:
    async with app.open_directory(settings) as directory:
        old, recent = now() - background.MAIL_RETENTION - 1, now() - DAY
        made = [
            {
                "id": number, "kind": "test", "recipient": "", "due_at": 0, "sent_at": number % 2,
                "created_at": old if number <= 10 else recent,
            }
            for number in range(1, 14)
        ]  # fmt: skip
        await add(database, "outbox", *made)
        assert await background.purge_mails(directory) == 10
    assert await ids(database, "outbox") == [11, 12, 13]


async def _steps(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    steps: list[int] = []
    plain = background.invitations.purge

    async def counted(*given: Any) -> int:
        steps.append(await plain(*given))
        return steps[-1]

    monkeypatch.setattr(background.invitations, "purge", counted)
    await background.purge(directory)
    return steps


async def test_no_step_has_more_rows_than_it_may(
    settings: Settings, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with app.open_directory(settings) as directory:
        tenant_id = await make_tenant(directory, "acme")
        olga = await make_user(directory, "olga", tenant_id=tenant_id)
        made = [invitation(n, tenant_id, olga.id, expires_at=1) for n in range(1, 11)]
        await add(database, "invitations", *made)
        assert await _steps(directory, monkeypatch) == [STEP, STEP, 2]


async def test_doctor_shows_the_oldest_of_each(settings: Settings, database: str) -> None:
    async with app.open_directory(settings) as directory:
        read = directory.read(SYSTEM_ACTOR)
        found = await retention.check(read, settings)
        assert found.state == "ok"
        for part in (
            "history: oldest 0 days (limit 365)",
            "ended invitations: none (limit 30)",
            "credentials: none (limit 365)",
            "mails: none (limit 7)",
            "former values of imports: none (limit 30)",
        ):
            assert part in found.found
        tenant_id = await make_tenant(directory, "acme")
        olga = await make_user(directory, "olga", tenant_id=tenant_id)
        ended = invitation(1, tenant_id, olga.id, expires_at=now() - 40 * DAY)
        await add(database, "invitations", ended)
        found = await retention.check(directory.read(SYSTEM_ACTOR), settings)
        assert (found.state, "overdue: ended invitations" in found.found) == ("warn", True)
        kept = msgspec.structs.replace(settings, invitation_days=0)
        found = await retention.check(directory.read(SYSTEM_ACTOR), kept)
        assert (found.state, "oldest 40 days (limit none)" in found.found) == ("ok", True)
