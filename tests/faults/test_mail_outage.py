"""A mail server that is dead or falls silent: callers notice nothing, and the mails go out later."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from dragoman.store.drivers import sqlite_library
from tests.faults.hanging_smtp import STAGES, hanging_smtp_server
from tests.support.databases import query
from tests.support.mail_servers import mail_server
from tests.support.processes import environment, wait_for
from tests.support.server import Server, free_port
from tests.support.world import World

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

SOON_S = 5.0
"""Whoever waited for the mail server would wait twice as long, at least."""
ROUNDS = 2
STAGES_TRIED = STAGES if os.environ.get("FAULT_STAGES") == "all" else ("connect", "data")
"""At which moments it falls silent; the others are between these two."""


@contextlib.contextmanager
def server_with_mail(database: str, folder: Path, port: int) -> Iterator[Server]:
    """Run a server that sends its mails to a port of this machine."""
    settings = {**environment(database), "DRAGOMAN_SMTP_URL": f"smtp://127.0.0.1:{port}"}
    server = Server(settings, folder)
    server.start()
    try:
        yield server
        assert '"bug"' not in server.output(), server.output()
        server.stop()
    finally:
        server.kill()


def send_mailing_requests(server: Server, world: World) -> list[int]:
    """Ask for everything that sends a mail, and for something that does not; return the statuses."""
    mia, olga = world.people["mia"], world.people["olga"]
    owner = {"Authorization": f"Bearer {olga.tokens['vsay']}"}
    statuses: list[int] = []
    with httpx.Client(base_url=server.url, timeout=30) as client:
        for number in range(ROUNDS):
            for url, body, headers in (
                ("/wiwebb/api/v1/auth/password/reset/", {"email": mia.email}, {}),
                ("/wiwebb/api/v1/auth/password/reset/", {"email": "no@where.test"}, {}),
                ("/vsay/users/invite", invitation_body(number), owner),
                ("/accounts/api/users/signin", {"username": "mia", "password": mia.password}, {}),
            ):
                began = time.monotonic()
                statuses.append(client.post(url, json=body, headers=headers).status_code)
                assert time.monotonic() - began < SOON_S, url
    return statuses


def invitation_body(number: int) -> dict[str, Any]:
    """Return whom to invite."""
    return {"email": f"new{number}@acme.test", "name": "Nora Nash", "role": "member"}


def unsent_mails(database: str) -> list[tuple[int, int]]:
    """Return how often each mail was tried and whether it was given up; those that went not."""
    asked = "SELECT attempts, failed_at FROM outbox WHERE sent_at = 0 ORDER BY id"
    return asyncio.run(query(database, asked))


def make_due(database: str) -> None:
    """Let the pause after a failure be over, as if the time had passed."""
    statement = "UPDATE outbox SET due_at = 1 WHERE sent_at = 0"
    if database.startswith("sqlite:///"):
        with contextlib.closing(
            sqlite_library.connect(database.removeprefix("sqlite:///"))
        ) as connection:
            connection.execute("PRAGMA busy_timeout = 5000")
            connection.execute(statement)
            connection.commit()
        return

    async def run() -> None:
        connection: Any = await asyncpg.connect(database)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(run())


@pytest.mark.parametrize("stage", ["dead", *STAGES_TRIED])
@pytest.mark.parametrize("backend", ["sqlite"])
def test_callers_notice_nothing(
    seeded_database: tuple[str, World], tmp_path: Path, stage: str
) -> None:
    """The same statuses as with a mail server, as soon; no mail is lost, and none given up."""
    check(seeded_database, tmp_path, stage)


@pytest.mark.parametrize("backend", ["postgresql"])
def test_nor_on_postgresql(seeded_database: tuple[str, World], tmp_path: Path) -> None:
    """Where a mail on its way is held by a row of its own."""
    check(seeded_database, tmp_path, "data")


def check(seeded_database: tuple[str, World], tmp_path: Path, stage: str) -> None:
    """Ask while the mail server is gone, let it come back, and see what arrives."""
    database, world = seeded_database
    with contextlib.ExitStack() as silence:
        silent = None if stage == "dead" else silence.enter_context(hanging_smtp_server(stage))
        port = silent.port if silent else free_port()
        with server_with_mail(database, tmp_path, port) as server:
            assert send_mailing_requests(server, world) == [200, 200, 201, 200] * ROUNDS
            tried = "it has not even been tried"
            assert wait_for(lambda: any(row[0] for row in unsent_mails(database)), 10), tried
            if silent:
                assert silent.reached.wait(10)
            assert send_mailing_requests(server, world) == [200, 200, 409, 200] * ROUNDS
            assert httpx.get(f"{server.url}/readyz").status_code == 200
            left = unsent_mails(database)
            assert len(left) == 1 + ROUNDS, "the newest link for a password, and the invitations"
            assert not any(failed for _, failed in left)
            silence.close()
            with mail_server(port=port) as box:
                arrived = wait_for(
                    lambda: bool(make_due(database)) or not unsent_mails(database), 20
                )
                assert arrived, (unsent_mails(database), server.output())
                reached = {str(mail["To"]) for mail in box.mails}
            wanted = {invitation_body(number)["email"] for number in range(ROUNDS)}
            assert reached == {world.people["mia"].email, *wanted}
