"""The server's secret key: a wrong one is noticed, a lost one is replaced."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from dragoman import app
from dragoman.actions import password_resets
from dragoman.actions.directory import Directory
from dragoman.actions.steps import jwt_keys, key_adoption, key_check
from dragoman.jobs import mail_delivery
from dragoman.rules.errors import Forbidden, Unavailable
from dragoman.settings import Settings, SettingsError
from dragoman.store import schema
from dragoman.store.query import Query
from tests.support.databases import audit_rows, query, settings_for
from tests.support.people import SYSTEM_ACTOR, anonymous_actor, make_tenant, make_user, transaction
from tests.support.running_app import running_client

pytestmark = pytest.mark.anyio

OTHER_KEY = bytes(range(32, 64))


def with_other_key(settings: Settings, **changes: object) -> Settings:
    return settings_for(settings.database, secret_key=OTHER_KEY, **changes)


async def forget_check(directory: Directory) -> None:
    """Make the database one of an earlier version, which knows no check value."""
    async with transaction(directory) as tx:
        await tx.run(Query(sa.delete(schema.server_state)))


async def sign(directory: Directory) -> str:
    async with transaction(directory, anonymous_actor()) as tx:
        return await jwt_keys.sign(tx, directory, {"sub": "x"})


async def kids(directory: Directory) -> list[str]:
    document = await jwt_keys.jwk_set(directory.read(SYSTEM_ACTOR))
    return [key["kid"] for key in document["keys"]]


async def test_a_server_with_another_key_does_not_start(settings: Settings) -> None:
    with pytest.raises(SettingsError) as raised:
        await app.migrate_and_bootstrap(with_other_key(settings))
    (line,) = raised.value.lines
    assert "DRAGOMAN_SECRET_KEY" in line
    assert "dragoman keys adopt" in line
    assert await app.migrate_and_bootstrap(settings) is None


async def test_where_it_runs_already_it_is_not_ready(settings: Settings) -> None:
    async with running_client(with_other_key(settings)) as client:
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["what"] == "server key"
        assert (await client.get("/healthz")).status_code == 200
    async with running_client(settings) as client:
        assert (await client.get("/readyz")).status_code == 200


async def test_no_key_is_made_and_no_mail_sent_with_it(settings: Settings) -> None:
    other = with_other_key(settings, smtp_url="smtp://127.0.0.1:9")
    async with app.open_directory(other) as directory:
        home = await make_tenant(directory, "home")
        await make_user(directory, "mia", tenant_id=home, email="mia@example.com")
        await password_resets.request_reset(directory, anonymous_actor(), "mia@example.com")
        with pytest.raises(Unavailable):
            await sign(directory)
        with pytest.raises(Unavailable):
            await mail_delivery.send_due(directory)
        assert await kids(directory) == []


async def test_a_database_without_a_check_value_gets_it_at_the_first_start(
    settings: Settings,
) -> None:
    for has_signing_key in (False, True):
        async with app.open_directory(settings) as directory:
            if has_signing_key:
                await sign(directory)
            await forget_check(directory)
            assert await key_check.matches(directory.read(SYSTEM_ACTOR), directory) is None
        await app.migrate_and_bootstrap(settings)
        async with app.open_directory(settings) as directory:
            assert await key_check.matches(directory.read(SYSTEM_ACTOR), directory) is True


async def test_unless_the_newest_signing_key_does_not_open(settings: Settings) -> None:
    async with app.open_directory(settings) as directory:
        await sign(directory)
        await forget_check(directory)
    with pytest.raises(SettingsError):
        await app.migrate_and_bootstrap(with_other_key(settings))
    assert await query(settings.database, "SELECT key FROM server_state") == []


async def test_the_key_itself_is_not_in_the_database(settings: Settings) -> None:
    for (value,) in await query(settings.database, "SELECT value FROM server_state"):
        assert settings.secret_key.hex() not in value


async def test_adopting_another_key(settings: Settings) -> None:
    """Signing keys die; people, passwords and sessions stay."""
    login = {"username": "admin", "password": settings.admin_password}
    async with app.open_directory(settings) as directory:
        await sign(directory)
    async with running_client(settings) as client:
        answer = await client.post("/wiwebb/api/v1/auth/login/", json=login)
        mine = {"Authorization": f"Token {answer.json()['key']}"}
    before = (await audit_rows(settings.database))[-1].id
    async with app.open_directory(with_other_key(settings)) as directory:
        async with transaction(directory) as tx:
            assert await key_adoption.adopt(tx, directory)
        assert await kids(directory) == []
        await sign(directory)
        (kid,) = await kids(directory)
        async with transaction(directory) as tx:
            assert not await key_adoption.adopt(tx, directory)
        assert await kids(directory) == [kid]
    (row,) = await audit_rows(settings.database, before)
    assert (row.action, row.actor_kind) == ("keys.adopt", "system")
    assert await app.migrate_and_bootstrap(with_other_key(settings)) is None
    async with running_client(with_other_key(settings)) as client:
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.get("/wiwebb/api/v1/auth/user/", headers=mine)).status_code == 200
        assert (await client.post("/wiwebb/api/v1/auth/login/", json=login)).status_code == 200
    with pytest.raises(SettingsError):
        await app.migrate_and_bootstrap(settings)


async def test_only_the_command_line_adopts(settings: Settings) -> None:
    async with app.open_directory(with_other_key(settings)) as directory:
        with pytest.raises(Forbidden):
            async with transaction(directory, anonymous_actor()) as tx:
                await key_adoption.adopt(tx, directory)
