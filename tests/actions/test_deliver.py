"""The outbox is sent after the commit: once, patiently, and only what still has a cause."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
import time
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import sqlalchemy as sa

from dragoman import app
from dragoman.actions import deliver, sign_in, upkeep, users
from dragoman.actions.directory import Directory, machine
from dragoman.actions.mails import post
from dragoman.rules.model import DAY, HOUR, SECOND, Actor, UserChanges
from dragoman.rules.policy import NOTHING_NARROWED
from dragoman.store import outbox, schema
from dragoman.store.outbox import Waiting
from dragoman.store.query import Query
from tests.actions.mail_server import MailServer, mail_server, silent_server
from tests.support.databases import query, settings_for
from tests.support.mailbox import text_of
from tests.support.running import running
from tests.support.server import free_port
from tests.support.world import API, World

pytestmark = pytest.mark.anyio

MACHINE = machine("tests")
VISITOR = Actor(kind="visitor", contract="wiwebb", narrowing=NOTHING_NARROWED, address="127.0.0.1")
HERE = "https://users.example.com/directory"
MIA, OLGA, GUS = "mia@acme.test", "olga@acme.test", "gus@globex.test"
LINK = re.compile(r"https?://[^\s\"'<>]+")


@contextlib.asynccontextmanager
async def directory_of(database: str, smtp_url: str, **changes: Any) -> AsyncIterator[Directory]:
    settings = settings_for(database, smtp_url=smtp_url, public_url=HERE, **changes)
    async with app.opened(settings) as directory:
        yield directory


async def ask(directory: Directory, *addresses: str) -> None:
    for address in addresses:
        await sign_in.request_reset(directory, VISITOR, address)


async def waiting(directory: Directory) -> list[Waiting]:
    """What the outbox holds, oldest first."""
    return (await outbox.latest(directory.read(MACHINE)))[::-1]


async def change(directory: Directory, statement: Any) -> None:
    async with directory.begin(MACHINE) as tx:
        await tx.run(Query(statement))


async def make_due(directory: Directory) -> None:
    await change(directory, sa.update(schema.outbox).values(due_at=1))


async def age(directory: Directory, microseconds: int) -> None:
    earlier = schema.outbox.c.created_at - microseconds
    await change(directory, sa.update(schema.outbox).values(created_at=earlier, due_at=1))


def links_in(server: MailServer, kind: str) -> list[str]:
    body = server.mails[-1].get_body((kind,))
    assert body is not None
    return LINK.findall(body.get_content())


async def test_a_mail_with_one_link_in_text_and_html(inhabited: tuple[str, World]) -> None:
    database, world = inhabited
    with mail_server() as server:
        sender = "Dragoman <post@example.com>"
        async with directory_of(database, server.url, mail_from=sender) as directory:
            await ask(directory, "MIA@acme.test")
            (row,) = await waiting(directory)
            shown = await deliver.preview(directory, row)
            assert await deliver.send_due(directory) == 1
            assert await deliver.send_due(directory) == 0
            (row,) = await waiting(directory)
            assert row.sent_at > 0
            assert (row.recipient, row.payload) == ("", "{}")
            assert await deliver.preview(directory, row) is None
            (public_id,) = (await query(database, (
                f"SELECT public_id FROM users WHERE id = {world.people['mia'].id}"
            )))[0]  # fmt: skip
    (mail,) = server.mails
    (link,) = links_in(server, "plain")
    assert links_in(server, "html") == [link]
    assert re.fullmatch(rf"{HERE}/wiwebb/reset/{public_id}/[\w-]{{43}}", link)
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


async def test_nobodys_words_are_in_a_mail(inhabited: tuple[str, World]) -> None:
    database, world = inhabited
    with mail_server() as server:
        async with directory_of(database, server.url) as directory:
            bait = "Win http://evil.test"
            async with directory.begin(MACHINE) as tx:
                changes = UserChanges(first_name=bait, last_name="Bcc", display_name=bait)
                await users.update(tx, world.people["mia"].id, changes)
            await ask(directory, MIA)
            assert await deliver.send_due(directory) == 1
    assert "evil" not in server.mails[0].as_string()
    assert len(links_in(server, "plain")) == len(links_in(server, "html")) == 1


async def test_without_a_server_everything_waits(inhabited: tuple[str, World]) -> None:
    database, _ = inhabited
    async with directory_of(database, "") as directory:
        await ask(directory, MIA)
        assert await deliver.send_due(directory) == 0
        (row,) = await waiting(directory)
        assert (row.attempts, row.sent_at, row.recipient) == (0, 0, MIA)
        text = await deliver.preview(directory, row)
        assert text is not None
        assert f"{HERE}/wiwebb/reset/" in text


async def test_a_server_that_is_down_is_tried_again(
    inhabited: tuple[str, World], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, _ = inhabited
    port = free_port()
    async with directory_of(database, f"smtp://127.0.0.1:{port}") as directory:
        await ask(directory, MIA, OLGA)
        assert await deliver.send_due(directory) == 0
        first, second = await waiting(directory)
        assert (first.attempts, second.attempts) == (1, 0), "an outage ends the batch"
        assert first.last_error == "ConnectionRefusedError"
        pause = first.due_at - first.created_at
        assert 7 * SECOND < pause < 20 * SECOND
        await deliver.send_due(directory)
        await deliver.send_due(directory)
        assert [row.attempts for row in await waiting(directory)] == [1, 1]
        await make_due(directory)
        await deliver.send_due(directory)
        later = max(row.due_at for row in await waiting(directory))
        assert later > first.due_at + 20 * SECOND, "longer with every failure"
        monkeypatch.setattr(deliver, "PAUSES_S", (0,))
        await make_due(directory)
        with mail_server(port=port) as server:
            assert await deliver.send_due(directory) == 2
        assert {str(mail["To"]) for mail in server.mails} == {MIA, OLGA}
        assert server.connections == 1
        assert all(row.sent_at for row in await waiting(directory))


async def test_a_day_of_failures_is_enough(inhabited: tuple[str, World]) -> None:
    database, _ = inhabited
    down = f"smtp://127.0.0.1:{free_port()}"
    async with directory_of(database, down, reset_hours=168) as directory:
        await ask(directory, MIA)
        await age(directory, DAY + HOUR)
        await deliver.send_due(directory)
        (row,) = await waiting(directory)
        assert row.failed_at > 0
        assert await deliver.preview(directory, row) is None
        await make_due(directory)
        await deliver.send_due(directory)
        assert (await waiting(directory))[0].attempts == 1


async def test_a_refused_recipient_is_given_up_and_the_others_go_on(
    inhabited: tuple[str, World],
) -> None:
    database, _ = inhabited
    with mail_server() as server:
        server.answers = {MIA: "550 no such mailbox", OLGA: "451 come back later"}
        async with directory_of(database, server.url) as directory:
            await ask(directory, MIA, OLGA, GUS)
            assert await deliver.send_due(directory) == 1
            mia, olga, gus = await waiting(directory)
    assert (bool(mia.failed_at), mia.last_error) == (True, "SMTPRecipientsRefused 550")
    assert (olga.failed_at, olga.last_error) == (0, "SMTPRecipientsRefused 451")
    assert gus.sent_at > 0
    assert server.recipients == [GUS]


async def test_two_postmen_carry_each_mail_once(inhabited: tuple[str, World]) -> None:
    database, _ = inhabited
    with mail_server() as server:
        async with (
            directory_of(database, server.url) as one,
            directory_of(database, server.url) as other,
        ):
            await ask(one, MIA, OLGA, GUS)
            counts = await asyncio.gather(deliver.send_due(one), deliver.send_due(other))
    assert sum(counts) == 3
    assert sorted(server.recipients) == [GUS, MIA, OLGA]


@pytest.mark.parametrize("how", ["expired", "used", "newer", "epoch", "off", "e-mail", "gone"])
async def test_a_mail_without_a_cause_is_dropped(inhabited: tuple[str, World], how: str) -> None:
    database, world = inhabited
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
        async with directory_of(database, server.url) as directory:
            await ask(directory, MIA, GUS)
            if how == "off":
                async with directory.begin(MACHINE) as tx:
                    await users.set_active(tx, mia, active=False)
            else:
                await change(directory, statements[how])
            mias = (await waiting(directory))[0]
            assert await deliver.preview(directory, mias) is None
            assert await deliver.send_due(directory) == 1
            assert [row.user_id for row in await waiting(directory)] == [world.people["gus"].id]
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
    inhabited: tuple[str, World],
    values: dict[str, str],
    error: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    database, world = inhabited
    with mail_server() as server:
        async with directory_of(database, server.url) as directory:
            await ask(directory, MIA, GUS)
            mias = schema.outbox.c.user_id == world.people["mia"].id
            await change(directory, sa.update(schema.outbox).where(mias).values(**values))
            assert await deliver.send_due(directory) == 1
            broken, good = await waiting(directory)
    assert (broken.last_error, broken.attempts, broken.sent_at) == (error, 1, 0)
    assert good.sent_at > 0
    assert "secret" not in "".join(capsys.readouterr())


async def test_an_address_with_a_line_break_is_never_spoken(inhabited: tuple[str, World]) -> None:
    database, world = inhabited
    evil = "mia@acme.test\r\nRCPT TO:<eve@evil.test>"
    with mail_server() as server:
        async with directory_of(database, server.url) as directory:
            await ask(directory, MIA)
            mia = schema.users.c.id == world.people["mia"].id
            await change(directory, sa.update(schema.users).where(mia).values(email=evil))
            await change(directory, sa.update(schema.outbox).values(recipient=evil))
            assert await deliver.send_due(directory) == 0
            (row,) = await waiting(directory)
    assert (row.last_error, row.sent_at) == ("ValueError", 0)
    assert not server.recipients


async def test_more_than_five_an_hour_send_nothing_more(inhabited: tuple[str, World]) -> None:
    database, world = inhabited
    async with directory_of(database, "") as directory:
        for _ in range(4):
            await asyncio.gather(*(ask(directory, MIA) for _ in range(5)))
        asked = await query(
            database, "SELECT target_id FROM audit WHERE action = 'request_reset'"
        )  # fmt: skip
        assert asked == [(world.people["mia"].id,)] * 5, "at once or in turn"
        assert [row.recipient for row in await waiting(directory)] == [MIA]


async def test_a_username_is_no_address(inhabited: tuple[str, World]) -> None:
    database, world = inhabited
    async with directory_of(database, "") as directory:
        async with directory.begin(MACHINE) as tx:
            changes = UserChanges(username="nick@acme.test")
            await users.update(tx, world.people["mia"].id, changes)
        await ask(directory, "nick@acme.test")
        assert await waiting(directory) == []


async def test_no_secret_is_in_the_tables(inhabited: tuple[str, World]) -> None:
    database, _ = inhabited
    with mail_server() as server:
        async with directory_of(database, server.url) as directory:
            await ask(directory, MIA)
            before = str(await query(database, "SELECT * FROM outbox"))
            before += str(await query(database, "SELECT * FROM one_time"))
            assert await deliver.send_due(directory) == 1
            after = str(await query(database, "SELECT * FROM outbox"))
            after += str(await query(database, "SELECT * FROM one_time"))
            after += str(await query(database, "SELECT * FROM audit"))
    secret = links_in(server, "plain")[0].rpartition("/")[2]
    assert secret not in before + after
    assert MIA not in after, "sent is forgotten"


async def test_silence_at_the_other_end_holds_up_no_request_and_no_chore(
    inhabited: tuple[str, World], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, world = inhabited
    monkeypatch.setattr(upkeep, "NOTE_EVERY_S", 0.1)
    monkeypatch.setattr(deliver, "GRACE_S", 0.2)
    by_mia = {"Authorization": f"Token {world.people['mia'].token}"}
    with silent_server() as url:
        async with running(settings_for(database, smtp_url=url)) as client:
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
    assert post.TIMEOUT_S > 3


async def test_a_bug_in_one_chore_ends_no_other(
    inhabited: tuple[str, World], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, _ = inhabited
    done: list[int] = []

    async def broken(_: Directory) -> int:
        raise ZeroDivisionError

    async def working(_: Directory) -> int:
        done.append(1)
        return 1

    monkeypatch.setattr(deliver, "send_due", broken)
    monkeypatch.setattr(upkeep, "purge", working)
    monkeypatch.setattr(upkeep, "FIRST_TIDY_S", 0.05)
    monkeypatch.setattr(upkeep, "TIDY_EVERY_S", 0.05)
    async with directory_of(database, "") as directory:
        chores = asyncio.create_task(upkeep.run(directory))
        await asyncio.sleep(0.5)
        assert not chores.done()
        chores.cancel()
        with pytest.raises(asyncio.CancelledError):
            await chores
    assert len(done) > 2


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_a_look_at_an_empty_outbox_takes_no_lock(inhabited: tuple[str, World]) -> None:
    database, _ = inhabited
    async with directory_of(database, "smtp://127.0.0.1:1") as directory:
        path = database.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            assert await deliver.send_due(directory) == 0
            assert time.monotonic() - began < 1
