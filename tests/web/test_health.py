"""/readyz: what keeps a server from serving."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import httpx
import pytest

from dragoman.settings import Settings
from dragoman.store.drivers.sqlite import FILE_CHECK_INTERVAL_S
from tests.support.databases import ADMIN_PASSWORD
from tests.support.rows import open_rows

pytestmark = pytest.mark.anyio

NEW = {"username": "nora", "email": "nora@x.test", "role": "admin", "password": ADMIN_PASSWORD}


async def readiness(client: httpx.AsyncClient) -> tuple[int, str]:
    answer = await client.get("/readyz")
    return answer.status_code, answer.json().get("what", "")


async def execute(database: str, statement: str) -> None:
    rows = await open_rows(database)
    try:
        await rows.execute([(statement, [])])
    finally:
        await rows.close()


async def test_ready(client: httpx.AsyncClient):
    assert await readiness(client) == (200, "")


@pytest.mark.parametrize("table", ["tokens", "outbox", "group_members"])
async def test_a_dropped_table(client: httpx.AsyncClient, settings: Settings, table: str):
    await execute(settings.database, f"ALTER TABLE {table} RENAME TO aside")
    assert await readiness(client) == (503, "tables")
    await execute(settings.database, f"ALTER TABLE aside RENAME TO {table}")
    assert await readiness(client) == (200, "")


async def test_a_dropped_column(client: httpx.AsyncClient, settings: Settings):
    await execute(settings.database, "ALTER TABLE users RENAME COLUMN bio TO aside")
    assert await readiness(client) == (503, "tables")


async def test_tables_and_columns_of_a_newer_version(client: httpx.AsyncClient, settings: Settings):
    await execute(settings.database, "CREATE TABLE of_tomorrow (id integer)")
    await execute(settings.database, "ALTER TABLE users ADD COLUMN of_tomorrow integer")
    assert await readiness(client) == (200, "")


@pytest.mark.sqlite
@pytest.mark.parametrize("backend", ["sqlite"])
class TestMovedFile:
    """The connections still have the file open: nothing may be written to it unseen."""

    @pytest.mark.parametrize("replaced", [False, True], ids=["moved", "replaced"])
    async def test_reads_and_writes_are_refused_until_it_is_back(
        self, client: httpx.AsyncClient, settings: Settings, *, replaced: bool
    ):
        login = {"username": "admin", "password": ADMIN_PASSWORD}
        answer = await client.post("/wiwebb/api/v1/auth/login/", json=login)
        mine = {"Authorization": f"Token {answer.json()['key']}"}
        path = settings.sqlite_path
        assert path is not None
        aside = path.with_suffix(".aside")
        path.rename(aside)
        if replaced:
            shutil.copyfile(aside, path)
        users = "/wiwebb/api/v1/users/"
        refused = await client.post(users, json=NEW, headers=mine)  # a write, at once
        await asyncio.sleep(FILE_CHECK_INTERVAL_S)
        for answer in (
            refused,
            await client.get(users, headers=mine),
            await client.get("/wiwebb/api/v1/auth/user/", headers=mine),
            await client.post("/wiwebb/api/v1/auth/login/", json=login),
        ):
            assert answer.status_code == 503
            assert "Retry-After" in answer.headers
        assert await readiness(client) == (503, "database")
        assert (await client.get("/healthz")).status_code == 200
        aside.replace(path)
        assert await readiness(client) == (200, "")
        assert (await client.get(users, headers=mine)).json()["count"] == 1
        assert (await client.post(users, json=NEW, headers=mine)).status_code == 201
        assert not Path(aside).exists()
