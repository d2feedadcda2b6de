"""Mail delivery with unavailable, refusing or unresponsive servers, and with broken mails."""

from __future__ import annotations

import asyncio
import time
from importlib import import_module
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from dragoman import app, dialects
from dragoman.actions import invitations
from dragoman.actions.directory import Directory
from dragoman.actions.steps import give_way
from dragoman.jobs import background, mail_delivery
from dragoman.jobs.mail import smtp
from dragoman.rules.model import DAY, HOUR, SECOND, Role
from dragoman.rules.vocabulary import Restrictions
from dragoman.store import schema
from dragoman.web import account_pages
from tests.support.databases import SECRET_KEY, query, settings_for
from tests.support.mail_servers import mail_server, silent_server
from tests.support.outboxes import (
    GUS,
    MIA,
    OLGA,
    execute,
    make_due,
    open_directory,
    outbox_rows,
    request_reset,
    shift_outbox_times,
)
from tests.support.people import actor_for
from tests.support.running_app import running_client
from tests.support.server import free_port, running_server
from tests.support.world import API, World

pytestmark = pytest.mark.anyio


async def test_a_server_that_is_down_is_tried_again(
    seeded_database: tuple[str, World], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, _ = seeded_database
    port = free_port()
    async with open_directory(database, f"smtp://127.0.0.1:{port}") as directory:
        await request_reset(directory, MIA, OLGA)
        assert await mail_delivery.send_due(directory) == 0
        first, second = await outbox_rows(directory)
        assert (first.attempts, second.attempts) == (1, 0), "an outage ends the batch"
        assert first.last_error == "ConnectionRefusedError"
        pause = first.due_at - first.created_at
        assert 7 * SECOND < pause < 20 * SECOND
        await mail_delivery.send_due(directory)
        await mail_delivery.send_due(directory)
        assert [row.attempts for row in await outbox_rows(directory)] == [1, 1]
        await make_due(directory)
        await mail_delivery.send_due(directory)
        later = max(row.due_at for row in await outbox_rows(directory))
        assert later > first.due_at + 20 * SECOND, "longer with every failure"
        monkeypatch.setattr(mail_delivery, "RETRY_DELAYS_S", (0,))
        await make_due(directory)
        with mail_server(port=port) as server:
            assert await mail_delivery.send_due(directory) == 2
        assert {str(mail["To"]) for mail in server.mails} == {MIA, OLGA}
        assert server.connections == 1
        assert all(row.sent_at for row in await outbox_rows(directory))


async def test_a_day_of_failures_is_enough(seeded_database: tuple[str, World]) -> None:
    database, _ = seeded_database
    down = f"smtp://127.0.0.1:{free_port()}"
    async with open_directory(database, down, reset_hours=168) as directory:
        await request_reset(directory, MIA)
        await shift_outbox_times(directory, DAY + HOUR)
        await mail_delivery.send_due(directory)
        (row,) = await outbox_rows(directory)
        assert row.failed_at > 0
        assert await mail_delivery.preview(directory, row) is None
        await make_due(directory)
        await mail_delivery.send_due(directory)
        assert (await outbox_rows(directory))[0].attempts == 1


async def test_a_refused_recipient_is_given_up_and_the_others_go_on(
    seeded_database: tuple[str, World],
) -> None:
    database, _ = seeded_database
    with mail_server() as server:
        server.answers = {MIA: "550 no such mailbox", OLGA: "451 come back later"}
        async with open_directory(database, server.url) as directory:
            await request_reset(directory, MIA, OLGA, GUS)
            assert await mail_delivery.send_due(directory) == 1
            mia, olga, gus = await outbox_rows(directory)
    assert (bool(mia.failed_at), mia.last_error) == (True, "SMTPRecipientsRefused 550")
    assert (olga.failed_at, olga.last_error) == (0, "SMTPRecipientsRefused 451")
    assert gus.sent_at > 0
    assert server.recipients == [GUS]


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"kind": "poem"}, "KeyError"),
        ({"payload": '{"generation": "http://secret"}'}, "ValidationError"),
        ({"payload": "no JSON"}, "DecodeError"),
    ],
)
async def test_a_bug_in_one_mail_stops_no_other(
    seeded_database: tuple[str, World],
    values: dict[str, str],
    error: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    database, world = seeded_database
    with mail_server() as server:
        async with open_directory(database, server.url) as directory:
            await request_reset(directory, MIA, GUS)
            mias = schema.outbox.c.user_id == world.people["mia"].id
            await execute(directory, sa.update(schema.outbox).where(mias).values(**values))
            assert await mail_delivery.send_due(directory) == 1
            broken, good = await outbox_rows(directory)
    assert (broken.last_error, broken.attempts, broken.sent_at) == (error, 1, 0)
    assert good.sent_at > 0
    assert "secret" not in "".join(capsys.readouterr())


async def test_a_mail_whose_page_no_contract_has_waits_and_stops_no_other(
    seeded_database: tuple[str, World],
) -> None:
    """As after the removal of the dialect that has the page behind the mail's link."""
    database, world = seeded_database
    with mail_server() as server:
        async with open_directory(database, server.url) as directory:
            links = directory.mail_links
            await request_reset(directory, MIA)
            olga = await actor_for(directory, world.people["olga"].id, Restrictions())
            async with directory.begin(olga) as tx:
                await invitations.invite(tx, email="nora@example.com", name="", role=Role.MEMBER)
            directory.mail_links = {kind: path for kind, path in links.items() if kind != "reset"}
            reset, invitation = await outbox_rows(directory)
            assert await mail_delivery.preview(directory, reset) is None
            assert await mail_delivery.preview(directory, invitation) is not None
            assert await mail_delivery.send_due(directory) == 1
            reset, invitation = await outbox_rows(directory)
            assert (reset.sent_at, reset.failed_at, reset.attempts) == (0, 0, 1)
            assert reset.last_error == "no contract has a page for the link"
            assert invitation.sent_at > 0
            directory.mail_links = links
            await make_due(directory)
            assert await mail_delivery.send_due(directory) == 1, "the dialect is back"


def test_every_kind_of_mail_links_to_one_page_of_a_contract_or_of_the_directory() -> None:
    links = dialects.mail_links()
    assert not links.keys() & account_pages.MAIL_LINKS.keys()
    without_link = {give_way.RELEASED}
    assert app.mail_links().keys() | without_link == mail_delivery.EMAIL_BUILDERS.keys()
    declared = [
        kind
        for name in dialects.NAMES
        for kind in getattr(import_module(f"dragoman.dialects.{name}"), "MAIL_LINKS", {})
    ]
    assert sorted(declared) == sorted(links), "one contract has the page"


async def test_an_address_with_a_line_break_is_never_spoken(
    seeded_database: tuple[str, World],
) -> None:
    database, world = seeded_database
    evil = "mia@acme.test\r\nRCPT TO:<eve@evil.test>"
    with mail_server() as server:
        async with open_directory(database, server.url) as directory:
            await request_reset(directory, MIA)
            mia = schema.users.c.id == world.people["mia"].id
            await execute(directory, sa.update(schema.users).where(mia).values(email=evil))
            await execute(directory, sa.update(schema.outbox).values(recipient=evil))
            assert await mail_delivery.send_due(directory) == 0
            (row,) = await outbox_rows(directory)
    assert (row.last_error, row.sent_at) == ("ValueError", 0)
    assert not server.recipients


async def test_silence_at_the_other_end_holds_up_no_request_and_no_chore(
    seeded_database: tuple[str, World], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, world = seeded_database
    monkeypatch.setattr(background, "FLUSH_TICKS", 0.1)
    monkeypatch.setattr(mail_delivery, "SHUTDOWN_GRACE_S", 0.2)
    by_mia = {"Authorization": f"Token {world.people['mia'].token}"}
    with silent_server() as url:
        async with running_client(settings_for(database, smtp_url=url)) as client:
            await client.post(f"{API}/auth/password/reset/", json={"email": OLGA})
            await asyncio.sleep(1.2)
            (row,) = await query(database, "SELECT attempts, sent_at FROM outbox")
            assert row == (1, 0), "it is on its way"
            began = time.monotonic()
            for _ in range(20):
                answer = await client.get(f"{API}/auth/user/", headers=by_mia)
                assert answer.status_code == 200
            assert time.monotonic() - began < 3
            began = time.monotonic()
        assert time.monotonic() - began < 3, "nor the end of the program"
    assert smtp.TIMEOUT_S > 3


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_the_end_of_the_program_waits_for_no_mail_server(database: str, tmp_path: Path) -> None:
    with silent_server() as url:
        environment = {
            "DRAGOMAN_DATABASE": database,
            "DRAGOMAN_SECRET_KEY": SECRET_KEY.hex(),
            "DRAGOMAN_SMTP_URL": url,
        }
        with running_server(environment, tmp_path) as server:
            body = {"email": "admin@localhost"}
            httpx.post(f"{server.url}{API}/auth/password/reset/", json=body)
            time.sleep(1.5)
            began = time.monotonic()
        assert time.monotonic() - began < 6, "it ended with status 0, and soon"


async def test_a_bug_in_one_chore_ends_no_other(
    seeded_database: tuple[str, World], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, _ = seeded_database
    done: list[int] = []

    async def broken(_: Directory) -> int:
        raise ZeroDivisionError

    async def working(_: Directory) -> int:
        done.append(1)
        return 1

    monkeypatch.setattr(mail_delivery, "send_due", broken)
    monkeypatch.setattr(background, "purge", working)
    monkeypatch.setattr(background, "FIRST_PURGE_TICKS", 0.05)
    monkeypatch.setattr(background, "PURGE_TICKS", 0.05)
    async with open_directory(database, "") as directory:
        chores = asyncio.create_task(background.run(directory))
        await asyncio.sleep(0.5)
        assert not chores.done()
        chores.cancel()
        with pytest.raises(asyncio.CancelledError):
            await chores
    assert len(done) > 2
