"""Hostile words where people may write them: kept as they are, found as they are, never obeyed.

There is no export of tables yet, so what a spreadsheet would take for a formula has to be stored
and given back as any other text; an export will have to mind it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from email.message import EmailMessage
from typing import Any

import httpx
import pytest

from dragoman import app
from dragoman.actions.directory import Directory
from dragoman.jobs import mail_delivery
from dragoman.store.user_lists import pages
from tests.fuzz.hostile_values import ADDRESSES, FORMULAS, HTML, LINES, SQL
from tests.fuzz.html_reader import HtmlReader
from tests.support.databases import query, settings_for
from tests.support.mailbox import Mailbox, mailbox, text_of
from tests.support.running_app import BASE, running_client
from tests.support.world import World

pytestmark = pytest.mark.anyio

PROSE = [*FORMULAS, *HTML, *SQL, *(text for text in LINES if text.isprintable())]
LINE_BREAKING = [
    *(text for text in ADDRESSES if not text.isprintable()),
    "nora@fresh.test\r\nBcc: eve@evil.test",
    "nora@fresh.test\nBcc: eve@evil.test",
    "nora\r@fresh.test",
    "nora@fresh.test\u2028Bcc: eve@evil.test",
    "nora@fresh.test, eve@evil.test",
    "Nora <nora@fresh.test>",
    "nora@fresh.test\x00",
]
HEADERS = {
    "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"
}  # fmt: skip
NAMED = {
    "mia": "100%",
    "vic": "a_b",
    "otto": "back\\slash",
    "olga": "quo'te;--",
    "idle": 'dou"ble*',
    "gus": "=1+1",
}


@pytest.fixture
async def seeded_client(
    seeded_database: tuple[str, World],
) -> AsyncIterator[tuple[httpx.AsyncClient, World]]:
    """A client of an application with the world in it."""
    database, world = seeded_database
    async with running_client(settings_for(database)) as client:
        yield client, world


def authorization(world: World, name: str, contract: str) -> dict[str, str]:
    scheme = "Token" if contract in {"wiwebb", "accounts"} else "Bearer"
    return {"Authorization": f"{scheme} {world.people[name].tokens[contract]}"}


async def test_words_are_given_back_unchanged(
    seeded_client: tuple[httpx.AsyncClient, World],
) -> None:
    """Formulas, markup, wildcards and templates are names like others, at whoever shows names."""
    client, world = seeded_client
    mia = world.people["mia"]
    where = {
        "wiwebb": (f"/wiwebb/api/v1/users/{mia.id}/", "PATCH", "first_name", "root"),
        "accounts": (f"/accounts/api/users/{mia.id}", "PUT", "last_name", "mia"),
        "vsay": (f"/vsay/users/usr_{mia.public_id}", "PUT", "name", "olga"),
    }
    for contract, (path, method, field, who) in where.items():
        headers = authorization(world, who, contract)
        for text in PROSE:
            written = await client.request(method, path, headers=headers, json={field: text})
            assert written.status_code == 200, (contract, text, written.text)
            told = (await client.get(path, headers=headers)).json()
            assert told.get("data", told)[field] == text, contract


@pytest.mark.parametrize("few", [pages.SCAN_THRESHOLD, 0], ids=["by looking", "by the index"])
async def test_wildcards_and_operators_are_letters(
    seeded_client: tuple[httpx.AsyncClient, World], monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """A search for them finds who has them in a name, and nobody else."""
    monkeypatch.setattr(pages, "SCAN_THRESHOLD", few)
    client, world = seeded_client
    root, olga = authorization(world, "root", "wiwebb"), authorization(world, "olga", "vsay")
    for name, text in NAMED.items():
        path = f"/wiwebb/api/v1/users/{world.people[name].id}/"
        assert (await client.patch(path, headers=root, json={"first_name": text})).is_success

    async def found(text: str) -> set[str]:
        asked = {"search": text}
        answer = await client.get("/wiwebb/api/v1/users/", headers=root, params=asked)
        assert answer.status_code == 200, text
        return {user["username"] for user in answer.json()["results"]}

    async def found_at_vsay(text: str) -> set[str]:
        answer = await client.get("/vsay/users", headers=olga, params={"search": text})
        assert answer.status_code == 200, text
        ids = {user["id"] for user in answer.json()["data"]["users"]}
        return {name for name, each in world.people.items() if f"usr_{each.public_id}" in ids}

    for name, text in NAMED.items():
        for part in (text, text[1:], text[:-1], *(sign for sign in text if not sign.isalnum())):
            assert await found(part) == {name}, part
            assert await found_at_vsay(part) == ({name} - {"gus"}), part
    everywhere = "".join(NAMED.values())
    for text in SQL:
        if text not in everywhere:
            assert await found(text) == set(), text
            assert await found_at_vsay(text) == set(), text


async def test_no_address_breaks_a_line(
    seeded_client: tuple[httpx.AsyncClient, World], seeded_database: tuple[str, World]
) -> None:
    """An address with a line break, or with another one behind it, is nobody's: at no contract."""
    client, world = seeded_client
    password = "indigo-Saucer-7"
    mia = world.people["mia"]
    person = {"username": "nora", "password": password}
    twice = {"username": "nora", "password1": password, "password2": password}
    calls: list[tuple[str, str, dict[str, Any], str, str]] = [
        ("POST", "/wiwebb/api/v1/users/", {**person, "role": "subscriber"}, "root", "wiwebb"),
        ("POST", "/wiwebb/api/v1/auth/registration/", twice, "", "wiwebb"),
        ("PATCH", f"/wiwebb/api/v1/users/{mia.id}/", {}, "root", "wiwebb"),
        ("POST", "/accounts/api/users/signup", person, "", "accounts"),
        ("PUT", f"/accounts/api/users/{mia.id}", {}, "mia", "accounts"),
        ("POST", "/binacle/api/users", {"password": password}, "olga", "binacle"),
        ("POST", "/wekan/users/register", person, "", "wekan"),
        ("POST", "/wekan/api/users", person, "olga", "wekan"),
        ("POST", "/vsay/users/invite", {"name": "Nora", "role": "member"}, "olga", "vsay"),
    ]
    counting = "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM outbox)"
    counting += ", (SELECT count(*) FROM invitations)"
    before = await query(seeded_database[0], counting)
    for method, path, body, who, contract in calls:
        headers = authorization(world, who, contract) if who else {}
        for address in LINE_BREAKING:
            told = {**body, "email": address}
            answer = await client.request(method, path, headers=headers, json=told)
            assert answer.status_code == 400, (path, address, answer.text)
    for address in LINE_BREAKING:
        told = {"email": address}
        answer = await client.post("/wiwebb/api/v1/auth/password/reset/", json=told)
        assert answer.status_code in {200, 400}, address
    assert await query(seeded_database[0], counting) == before


@pytest.mark.sqlite
async def test_markup_in_names_stays_text(seeded_sqlite: tuple[str, World]) -> None:
    """In the page of an invitation and in its mail: no element, header or link more."""
    database, world = seeded_sqlite
    names = [*HTML, *LINES[-8:], "a & b", "{{ link }}", '" onmouseover="x', "`", "=1+1"]
    with mailbox() as box:
        settings = settings_for(database, smtp_url=box.url)
        async with app.open_directory(settings) as directory, running_client(settings) as client:

            async def shown(request_count: int, name: str, tenant: str) -> list[HtmlReader]:
                mail = await _invited(client, world, directory, box, (request_count, name, tenant))
                return [*await _pages(client, text_of(mail), name), _html_body(mail)]

            plain = await shown(0, "Nora Nash", "Acme")
            for number, name in enumerate(names, 1):
                told = await shown(number, name, f"{name} {number}")
                page, again, mail = told
                assert [each.shape for each in told] == [each.shape for each in plain], name
                assert name in page.values, "in the field, as it was given"
                assert f"{name} {number}" in page.texts
                assert name in again.values
                assert "evil.test" not in mail.texts


async def _invited(
    client: httpx.AsyncClient,
    world: World,
    directory: Directory,
    box: Mailbox,
    told: tuple[int, str, str],
) -> EmailMessage:
    """Invite somebody of that name to a tenant of that name; return the mail."""
    number, name, tenant = told
    place = f"/wiwebb/api/v1/tenants/{world.tenants['acme'].id}/"
    renamed = await client.patch(
        place, headers=authorization(world, "root", "wiwebb"), json={"name": tenant}
    )
    assert renamed.is_success, renamed.text
    address = f"guest{number}@fresh.test"
    offer = {"email": address, "name": name, "role": "member"}
    made = await client.post(
        "/vsay/users/invite", headers=authorization(world, "olga", "vsay"), json=offer
    )
    assert made.status_code == 201, made.text
    await mail_delivery.send_due(directory)
    mail = await box.next_mail_to(address)
    assert mail is not None
    assert {*mail.keys()} == HEADERS
    assert len(mail.keys()) == len(HEADERS)
    assert [each.addr_spec for each in mail["To"].addresses] == [address]
    return mail


def _html_body(mail: EmailMessage) -> HtmlReader:
    rich = mail.get_body(("html",))
    assert rich is not None
    return HtmlReader(rich.get_content())


async def _pages(client: httpx.AsyncClient, text: str, name: str) -> list[HtmlReader]:
    """Return the page behind a mail's one link, and what it says to a form that is wrong."""
    assert "<" not in text, "it is plain"
    (link,) = (word for word in text.split() if "http" in word)
    assert link.startswith(f"{BASE}/vsay/accept/")
    page = await client.get(link)
    again = await client.post(link, data={"password": "x", "name": name})
    assert (page.status_code, again.status_code) == (200, 400)
    return [HtmlReader(page.text), HtmlReader(again.text)]


@pytest.fixture
def seeded_sqlite(database_templates: Any) -> Any:
    """The world on SQLite alone: what a page shows does not depend on the database."""
    with database_templates.seeded("sqlite") as found:
        yield found


def test_the_reader_sees_what_a_browser_would() -> None:
    """What breaks out of its place has another shape."""
    usual = HtmlReader('<p title="Nora">Nora</p>')
    assert HtmlReader('<p title="&lt;b&gt;">&lt;b&gt;</p>').shape == usual.shape
    for broken in (
        '<p title="N"><b>x</b></p>',
        '<p title="" onload="x">N</p>',
        '<p title="N"><!--x--></p>',
    ):
        assert HtmlReader(broken).shape != usual.shape
