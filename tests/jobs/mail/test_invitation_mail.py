"""Invitation mails: one link, an expiry, and no text that a user could inject."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import pytest
import sqlalchemy as sa

from dragoman.actions import invitations, tenants, users
from dragoman.actions.directory import Directory
from dragoman.actions.steps import open_invitations
from dragoman.jobs import mail_delivery
from dragoman.jobs.mail import messages
from dragoman.jobs.mail.messages import Email
from dragoman.rules.model import Invitation, Role, TenantChanges
from dragoman.rules.vocabulary import Restrictions
from dragoman.store import invitations as rows
from dragoman.store import schema
from tests.support.databases import query
from tests.support.mail_servers import MailServer, mail_server
from tests.support.mailbox import text_of
from tests.support.outboxes import PUBLIC_URL, SYSTEM_ACTOR, execute, open_directory, outbox_rows
from tests.support.people import actor_for
from tests.support.world import World

pytestmark = pytest.mark.anyio

LINK = re.compile(r"https?://[^\s\"'<>]+")
ANY_LINK = re.compile(r"https?:|www\.|//|mailto:|\w\.\w{2,}", re.IGNORECASE)
NORA = "nora@example.com"


async def invite(
    directory: Directory, world: World, email: str = NORA, name: str = ""
) -> Invitation:
    olga = await actor_for(directory, world.people["olga"].id, Restrictions())
    async with directory.begin(olga) as tx:
        return await invitations.invite(tx, email=email, name=name, role=Role.MEMBER)


async def rename(directory: Directory, world: World, name: str) -> None:
    async with directory.begin(SYSTEM_ACTOR) as tx:
        changes = TenantChanges(name=name)
        await tenants.update(tx, world.tenants["acme"].id, changes, home_slug="main")


def body_of(mail: EmailMessage, subtype: str) -> str:
    body = mail.get_body((subtype,))
    assert body is not None
    return body.get_content()


def only_link_in(server: MailServer) -> str:
    """Return the one link of the last mail, the same in text and HTML."""
    found = [LINK.findall(body_of(server.mails[-1], kind)) for kind in ("plain", "html")]
    assert found[0] == found[1]
    (link,) = found[0]
    return link


async def test_one_link_that_opens_until_it_says(seeded_database: tuple[str, World]) -> None:
    database, world = seeded_database
    with mail_server() as server:
        async with open_directory(database, server.url) as directory:
            made = await invite(directory, world)
            (row,) = await outbox_rows(directory)
            shown = await mail_delivery.preview(directory, row)
            assert await mail_delivery.send_due(directory) == 1
            assert await mail_delivery.send_due(directory) == 0
            secret = open_invitations.link_secret(directory, made)
            left = str(await query(database, "SELECT * FROM outbox"))
    (mail,) = server.mails
    assert only_link_in(server) == f"{PUBLIC_URL}/vsay/accept/{secret}"
    assert str(mail["To"]) == NORA
    assert str(mail["Subject"]) == "You are invited"
    assert shown is not None
    assert text_of(mail).strip().splitlines() == shown.strip().splitlines()
    until = f"{datetime.fromtimestamp(made.expires_at // 1_000_000, UTC):%Y-%m-%d %H:%M} UTC"
    for kind in ("plain", "html"):
        told = body_of(mail, kind)
        assert until in told
        assert "ACME Corporation" in told
        assert "did not expect this" in told
        assert not re.search(r"<(script|img|form|iframe)|src=", told)
    assert NORA not in left, "sent is forgotten"


async def test_nothing_that_opens_it_waits_in_the_outbox(
    seeded_database: tuple[str, World],
) -> None:
    database, world = seeded_database
    async with open_directory(database, "") as directory:
        made = await invite(directory, world)
        (row,) = await outbox_rows(directory)
        assert (row.kind, row.user_id, row.recipient) == ("invitation", None, NORA)
        assert row.payload == f'{{"invitation":"{made.public_id}","generation":1}}'
        assert open_invitations.link_secret(directory, made)[17:] not in str(row)


async def test_sent_again_the_earlier_mail_stays_at_home(
    seeded_database: tuple[str, World],
) -> None:
    database, world = seeded_database
    with mail_server() as server:
        async with open_directory(database, server.url) as directory:
            made = await invite(directory, world)
            olga = await actor_for(directory, world.people["olga"].id, Restrictions())
            async with directory.begin(olga) as tx:
                again = await invitations.resend(tx, made.public_id)
            assert await mail_delivery.send_due(directory) == 1
            secret = open_invitations.link_secret(directory, again)
    assert only_link_in(server).endswith(secret)
    assert server.recipients == [NORA]


@pytest.mark.parametrize(
    "how",
    ["accepted", "revoked", "expired", "newer", "address", "erased", "off", "inviter", "gone"],
)
async def test_a_mail_without_a_cause_is_dropped(
    seeded_database: tuple[str, World], how: str
) -> None:
    database, world = seeded_database
    those = sa.update(schema.invitations)
    statements: dict[str, Any] = {
        "accepted": those.values(accepted_at=1),
        "revoked": those.values(revoked_at=1),
        "expired": those.values(expires_at=1),
        "newer": those.values(generation=7),
        "address": those.values(email="another@example.com"),
        "gone": sa.delete(schema.invitations),
    }
    with mail_server() as server:
        async with open_directory(database, server.url) as directory:
            await invite(directory, world)
            (row,) = await outbox_rows(directory)
            if how in statements:
                await execute(directory, statements[how])
            else:
                async with directory.begin(SYSTEM_ACTOR) as tx:
                    if how == "erased":
                        await rows.erase_for_user(tx, NORA)
                    elif how == "off":
                        acme = world.tenants["acme"].id
                        off = TenantChanges(active=False)
                        await tenants.update(tx, acme, off, home_slug="main")
                    else:
                        await users.assign_role(tx, world.people["olga"].id, Role.MEMBER)
            assert await mail_delivery.preview(directory, row) is None
            assert await mail_delivery.send_due(directory) == 0
            assert await outbox_rows(directory) == []
    assert server.mails == []


HOSTILE_NAMES = [
    "Win at evil.test",
    "https://evil.test/x",
    "evil．test",
    "evil。test",
    "evil․test",
    "a/b",
    "mail boss@evil.test",
    "tel:0900",
    "<b>ACME</b>",
    "ACME {{ link }}",
    "ACME \u202eknil",
    "ACME\u2066",
    "A\u200bB",
    "ACME\r\nBcc: all@evil.test",
    "ACME\nhttp",
    "[ACME](x)",
    "ACME*",
    "ACME_x_",
    "ACME #1",
    "ACME\\x",
    "n" * 81,
    "ﷺ" * 10,  # in the compatibility form, eighteen characters each
    "⒈test",
    "evil.test",
    "ACME 2.0",
    "A.-B",
    "Call 123456",
    "0 9 0 0 1 2",
    "(01) 23-45-67",
    "12.34.56",
    "１２３４５６",
    "①②③④⑤⑥",
    "١٢٣٤٥٦",
    "",
]
"""Names that a mail must not contain."""


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_name_that_could_carry_something_is_not_repeated(name: str) -> None:
    assert messages.safe_name(name) == ""


@pytest.mark.parametrize(
    "name",
    [
        "ACME Corporation",
        "Müller & Söhne (Wien)",
        "St. Mary's, Inc.",
        "Ångström – Niños",
        "株式会社ドラゴマン",
        "شركة المثال",
        "हिन्दी समाचार",
        "Zoe\u0308 24",
        "ACME.",
        "Dept. 4 (Fund 12345)",
        "1 & 2, 3 & 4, 5 & 6",
        "n" * 80,
    ],
)
def test_a_name_as_people_have_them_is_repeated(name: str) -> None:
    assert messages.safe_name(name) == name


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_any_tenant_name_leaves_one_link_in_the_mail(name: str) -> None:
    """Below all checks of names: the letter alone must hold."""
    letter = Email(
        template="invitation",
        recipient=NORA,
        subject="You are invited",
        context={"link": "LINK", "organisation": messages.safe_name(name), "until": "2026-01-01"},
    )
    message = messages.compose(letter, sender="d@example.com", message_id="m", sent_at=0)
    assert set(message.keys()) == {
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version",
        "Content-Type",
    }  # fmt: skip
    for kind in ("plain", "html"):
        told = body_of(message, kind)
        assert "an organisation" in told
        assert told.count("LINK") == 1
    assert not ANY_LINK.search(body_of(message, "plain"))


@pytest.mark.parametrize("bait", ["Win at evil.test", "Evil <b>&amp;", "see https://evil.test/"])
async def test_nobodys_words_are_in_it(seeded_database: tuple[str, World], bait: str) -> None:
    database, world = seeded_database
    with mail_server() as server:
        async with open_directory(database, server.url) as directory:
            await rename(directory, world, bait)
            await invite(directory, world, name=bait)
            assert await mail_delivery.send_due(directory) == 1
    assert only_link_in(server).startswith(f"{PUBLIC_URL}/vsay/accept/")
    whole = server.mails[0].as_string() + body_of(server.mails[0], "html")
    assert "evil" not in whole.lower()
    assert "an organisation" in whole


async def test_signs_of_markup_are_only_signs(seeded_database: tuple[str, World]) -> None:
    database, world = seeded_database
    with mail_server() as server:
        async with open_directory(database, server.url) as directory:
            await rename(directory, world, "Müller & Söhne")
            await invite(directory, world)
            assert await mail_delivery.send_due(directory) == 1
    assert "Müller &amp; Söhne" in body_of(server.mails[0], "html")
    assert '"Müller & Söhne"' in body_of(server.mails[0], "plain")


async def test_neither_the_inviter_nor_the_invited_is_named(
    seeded_database: tuple[str, World],
) -> None:
    database, world = seeded_database
    with mail_server() as server:
        async with open_directory(database, server.url) as directory:
            await invite(directory, world, "n.o@example.com", name="Ottilie Quell")
            assert await mail_delivery.send_due(directory) == 1
    told = body_of(server.mails[0], "plain") + body_of(server.mails[0], "html")
    for word in ("Ottilie", "Quell", "olga", "Olga", "Orlov", "n.o@"):
        assert word not in told
