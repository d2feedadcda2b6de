"""Mail delivery: each mail is sent once, after the commit, if its link is still valid."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
import time
from email.utils import parsedate_to_datetime

import pytest
import sqlalchemy as sa

from dragoman.actions import users
from dragoman.jobs import mail_delivery
from dragoman.rules.model import UserChanges
from dragoman.store import outbox, schema
from tests.support.databases import query
from tests.support.mail_servers import MailServer, mail_server
from tests.support.mailbox import text_of
from tests.support.outboxes import (
    GUS,
    MIA,
    OLGA,
    PUBLIC_URL,
    SYSTEM_ACTOR,
    execute,
    make_due,
    open_directory,
    outbox_rows,
    request_reset,
)
from tests.support.world import World

pytestmark = pytest.mark.anyio

LINK = re.compile(r"https?://[^\s\"'<>]+")


def links_in(server: MailServer, subtype: str) -> list[str]:
    body = server.mails[-1].get_body((subtype,))
    assert body is not None
    return LINK.findall(body.get_content())


async def test_a_mail_with_one_link_in_text_and_html(seeded_database: tuple[str, World]) -> None:
    database, world = seeded_database
    with mail_server() as server:
        sender = "Dragoman <post@example.com>"
        async with open_directory(database, server.url, mail_from=sender) as directory:
            await request_reset(directory, "MIA@acme.test")
            (row,) = await outbox_rows(directory)
            shown = await mail_delivery.preview(directory, row)
            assert await mail_delivery.send_due(directory) == 1
            assert await mail_delivery.send_due(directory) == 0
            (row,) = await outbox_rows(directory)
            assert row.sent_at > 0
            assert (row.recipient, row.payload) == ("", "{}")
            assert await mail_delivery.preview(directory, row) is None
            (public_id,) = (await query(database, (
                f"SELECT public_id FROM users WHERE id = {world.people['mia'].id}"
            )))[0]  # fmt: skip
    (mail,) = server.mails
    (link,) = links_in(server, "plain")
    assert links_in(server, "html") == [link]
    assert re.fullmatch(rf"{PUBLIC_URL}/wiwebb/reset/{public_id}/[\w-]{{43}}", link)
    assert shown is not None
    assert link in shown
    assert text_of(mail).strip().splitlines() == shown.strip().splitlines()
    assert "24 hours" in shown
    assert str(mail["From"]) == sender
    assert str(mail["To"]) == MIA
    assert str(mail["Subject"]) == "Choose a new password"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content_type() == "multipart/alternative"
    assert re.fullmatch(r"<[\w-]+@example\.com>", str(mail["Message-ID"]))
    assert abs(parsedate_to_datetime(str(mail["Date"])).timestamp() - time.time()) < 60


async def test_nobodys_words_are_in_a_mail(seeded_database: tuple[str, World]) -> None:
    database, world = seeded_database
    with mail_server() as server:
        async with open_directory(database, server.url) as directory:
            bait = "Win http://evil.test"
            async with directory.begin(SYSTEM_ACTOR) as tx:
                changes = UserChanges(first_name=bait, last_name="Bcc", display_name=bait)
                await users.update(tx, world.people["mia"].id, changes)
            await request_reset(directory, MIA)
            assert await mail_delivery.send_due(directory) == 1
    assert "evil" not in server.mails[0].as_string()
    assert len(links_in(server, "plain")) == len(links_in(server, "html")) == 1


async def test_without_a_server_everything_waits(seeded_database: tuple[str, World]) -> None:
    database, _ = seeded_database
    async with open_directory(database, "") as directory:
        await request_reset(directory, MIA)
        assert await mail_delivery.send_due(directory) == 0
        (row,) = await outbox_rows(directory)
        assert (row.attempts, row.sent_at, row.recipient) == (0, 0, MIA)
        text = await mail_delivery.preview(directory, row)
        assert text is not None
        assert f"{PUBLIC_URL}/wiwebb/reset/" in text


async def test_concurrent_senders_send_each_mail_once(seeded_database: tuple[str, World]) -> None:
    database, _ = seeded_database
    with mail_server() as server:
        async with (
            open_directory(database, server.url) as one,
            open_directory(database, server.url) as other,
        ):
            await request_reset(one, MIA, OLGA, GUS)
            counts = await asyncio.gather(
                mail_delivery.send_due(one), mail_delivery.send_due(other)
            )
    assert sum(counts) == 3
    assert sorted(server.recipients) == [GUS, MIA, OLGA]


async def test_mail_leased_by_a_dead_sender_is_sent_by_the_next(
    seeded_database: tuple[str, World],
) -> None:
    database, _ = seeded_database
    with mail_server() as server:
        async with open_directory(database, server.url) as directory:
            await request_reset(directory, MIA)
            async with directory.begin(SYSTEM_ACTOR) as tx:
                await outbox.lease(tx, until=tx.now + mail_delivery.LEASE)
            assert await mail_delivery.send_due(directory) == 0
            await make_due(directory)
            assert await mail_delivery.send_due(directory) == 1
    assert server.recipients == [MIA]


@pytest.mark.parametrize("how", ["expired", "used", "newer", "epoch", "off", "e-mail", "gone"])
async def test_a_mail_without_a_cause_is_dropped(
    seeded_database: tuple[str, World], how: str
) -> None:
    database, world = seeded_database
    mia = world.people["mia"].id
    of_mia = schema.one_time.c.user_id == mia
    statements = {
        "expired": sa.update(schema.one_time).where(of_mia).values(expires_at=1),
        "used": sa.update(schema.one_time).where(of_mia).values(used_at=1),
        "newer": sa.update(schema.one_time).where(of_mia).values(generation=7),
        "epoch": sa.update(schema.users).where(schema.users.c.id == mia).values(auth_epoch=77),
        "e-mail": sa.update(schema.users).where(schema.users.c.id == mia).values(email="m@x.test"),
        "gone": sa.update(schema.users).where(schema.users.c.id == mia).values(deleted_at=1),
    }
    with mail_server() as server:
        async with open_directory(database, server.url) as directory:
            await request_reset(directory, MIA, GUS)
            if how == "off":
                async with directory.begin(SYSTEM_ACTOR) as tx:
                    await users.set_active(tx, mia, active=False)
            else:
                await execute(directory, statements[how])
            mias = (await outbox_rows(directory))[0]
            assert await mail_delivery.preview(directory, mias) is None
            assert await mail_delivery.send_due(directory) == 1
            assert [row.user_id for row in await outbox_rows(directory)] == [world.people["gus"].id]
    assert server.recipients == [GUS]


async def test_more_than_five_an_hour_send_nothing_more(seeded_database: tuple[str, World]) -> None:
    database, world = seeded_database
    async with open_directory(database, "") as directory:
        for _ in range(4):
            await asyncio.gather(*(request_reset(directory, MIA) for _ in range(5)))
        asked = await query(
            database, "SELECT target_id FROM audit WHERE action = 'password_resets.request'"
        )  # fmt: skip
        assert asked == [(world.people["mia"].id,)] * 5, "at once or in turn"
        assert [row.recipient for row in await outbox_rows(directory)] == [MIA]


async def test_a_username_is_no_address(seeded_database: tuple[str, World]) -> None:
    database, world = seeded_database
    async with open_directory(database, "") as directory:
        async with directory.begin(SYSTEM_ACTOR) as tx:
            changes = UserChanges(username="nick@acme.test")
            await users.update(tx, world.people["mia"].id, changes)
        await request_reset(directory, "nick@acme.test")
        assert await outbox_rows(directory) == []


async def test_no_secret_is_in_the_tables(seeded_database: tuple[str, World]) -> None:
    database, _ = seeded_database
    with mail_server() as server:
        async with open_directory(database, server.url) as directory:
            await request_reset(directory, MIA)
            before = str(await query(database, "SELECT * FROM outbox"))
            before += str(await query(database, "SELECT * FROM one_time"))
            assert await mail_delivery.send_due(directory) == 1
            after = str(await query(database, "SELECT * FROM outbox"))
            after += str(await query(database, "SELECT * FROM one_time"))
            after += str(await query(database, "SELECT * FROM audit"))
    secret = links_in(server, "plain")[0].rpartition("/")[2]
    assert secret not in before + after
    assert MIA not in after, "sent is forgotten"


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_a_look_at_an_empty_outbox_takes_no_lock(seeded_database: tuple[str, World]) -> None:
    database, _ = seeded_database
    async with open_directory(database, "smtp://127.0.0.1:1") as directory:
        path = database.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            assert await mail_delivery.send_due(directory) == 0
            assert time.monotonic() - began < 1
