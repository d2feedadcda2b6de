"""A database of schema 0004 with every kind of person is upgraded, and everybody is still there."""

from __future__ import annotations

import contextlib
import stat
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from dragoman import app
from dragoman.actions import users
from dragoman.actions.system import system_actor
from dragoman.jobs import doctor
from dragoman.rules.model import UserChanges
from dragoman.rules.passwords import hash_password
from dragoman.store import migrate
from dragoman.store.drivers.sqlite import connect
from tests.support.databases import query, settings_for
from tests.support.running_app import running_client

pytestmark = pytest.mark.anyio

PASSWORD = "correct horse battery"
SUPERADMIN, ADMIN, OWNER, MEMBER, VIEWER = range(5)


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``users`` as schema 0004 has it; its keys are those of that time."""

    username: str
    email: str = ""
    role: int = MEMBER
    tenant: int | None = 1
    first_name: str = ""
    last_name: str = ""
    verified: bool = False
    active: bool = True
    deleted: bool = False
    history: tuple[str, ...] = ("users.create",)
    address_state: tuple[bool, bool] = (True, True)
    """What must become of it: whether its address is proven, and whether somebody vouches."""


PEOPLE = (
    Person(username="root", email="root@localhost", role=SUPERADMIN, tenant=None),
    Person(username="adam", email="adam@corp.example", role=ADMIN, tenant=None),
    Person(username="olga", email="olga@corp.example", role=OWNER),
    Person(username="mia", email="mia@corp.example", first_name="Mia", last_name="García"),
    Person(username="vic", role=VIEWER, address_state=(False, False)),
    Person(
        username="sue", email="sue@corp.example", history=("sign_up",),
        address_state=(False, False),
    ),
    Person(
        username="ray", email="ray@corp.example", history=("sign_up", "request_reset", "reset_password"),
        address_state=(True, False),
    ),
    Person(
        username="ivy@corp.example", email="ivy@corp.example", verified=True,
        history=("accept_invitation",),
    ),
    Person(username="off", email="off@corp.example", active=False),
    Person(username="gone", email="gone@corp.example", deleted=True),
    Person(username="Jörg", email="JÖRG@Straße.example", first_name="Jörg", last_name="Łuczak"),
    Person(username="älter", email="max@müller.example", history=("sign_up",), address_state=(False, False)),
    Person(username="proven", email="max@xn--mller-kva.example"),
    Person(username="eva@bücher.example", email="eva@bücher.example"),
    Person(
        username="eva@xn--bcher-kva.example", email="eva@xn--bcher-kva.example", history=("sign_up",),
        address_state=(False, False),
    ),
)  # fmt: skip


def old_key(text: str) -> str:
    """Return the key of a name as schema 0004 made it; all names here are short."""
    return text.casefold()


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def _insert(table: str, **values: Any) -> str:
    literals = ", ".join(_literal(value) for value in values.values())
    return f"INSERT INTO {table} ({', '.join(values)}) VALUES ({literals})"


def statements() -> list[str]:
    """Return the statements that fill a database of schema 0004."""
    encoded = hash_password(PASSWORD)
    times = {"created_at": 1, "updated_at": 1}
    found = [
        _insert("tenants", id=1, public_id="t", name="main", name_key="main", slug="main",
                slug_key="main", search="main\nmain\n", ever_owned=True, **times),
    ]  # fmt: skip
    for number, person in enumerate(PEOPLE, 1):
        texts = (person.username, person.email, person.first_name, person.last_name)
        keys = [old_key(text) for text in texts]
        found.append(
            _insert(
                "users", id=number, public_id=f"{'A' * 15}{number:02d}", tenant_id=person.tenant,
                role=person.role, username=person.username, username_key=keys[0],
                email=person.email, email_key=keys[1], first_name=person.first_name,
                last_name=person.last_name, search="\n".join(keys), password_hash=encoded,
                active=person.active, verified=person.verified, **times,
                deleted_at=1 if person.deleted else None,
            )
        )  # fmt: skip
        if not person.deleted:
            found += [
                _insert("names", key=key, user_id=number) for key in sorted({*keys[:2]} - {""})
            ]
        found += [
            _insert("audit", at=1, actor_kind="visitor", contract="wiwebb", action=action,
                    target_kind="user", target_id=number)
            for action in person.history
        ]  # fmt: skip
    living = [person for person in PEOPLE if not person.deleted]
    for tenant in (0, 1, -1):
        for role in range(5):
            for active in (True, False):
                n = sum(
                    person.role == role
                    and person.active is active
                    and tenant in {-1, person.tenant or 0}
                    for person in living
                )
                found.append(
                    _insert("counts", tenant_id=tenant, role=role, active=active, shard=0, n=n)
                )
    return found


async def write(database: str, lines: list[str]) -> None:
    """Run statements that change rows."""
    if not database.startswith("sqlite:///"):
        connection: Any = await asyncpg.connect(database)
        try:
            await connection.execute(";\n".join(lines))
            await connection.execute(
                "SELECT setval(pg_get_serial_sequence('users', 'id'), 100),"
                " setval(pg_get_serial_sequence('tenants', 'id'), 100)"
            )
        finally:
            await connection.close()
        return
    with contextlib.closing(connect(Path(database.removeprefix("sqlite:///")))) as connection:
        for line in lines:
            connection.execute(line)


@pytest.fixture
async def upgraded(blank_database: str) -> tuple[str, list[str]]:
    """A filled database of schema 0004 after its upgrade, and what was reported meanwhile."""
    await migrate.upgrade(blank_database, "0004")
    await write(blank_database, statements())
    reported: list[str] = []
    await migrate.upgrade(blank_database, report=reported.append)
    return blank_database, reported


async def test_everybody_is_approved_and_proven_but_for_sign_ups(upgraded: tuple[str, list[str]]):
    database, _ = upgraded
    rows = await query(
        database, "SELECT id, approved, signed_up, verified, email_assigned FROM users ORDER BY id"
    )
    found = {row[0]: tuple(bool(value) for value in row[1:]) for row in rows}
    assert found == {
        number: (True, "sign_up" in person.history, *person.address_state)
        for number, person in enumerate(PEOPLE, 1)
    }


async def test_keys_are_rewritten_and_the_proven_address_wins(upgraded: tuple[str, list[str]]):
    database, reported = upgraded
    rows = await query(database, "SELECT username, username_key, email_key, search FROM users")
    found = {row[0]: row[1:] for row in rows}
    assert found["Jörg"][0] == "jörg"
    assert found["Jörg"][1] == "jörg@xn--strae-oqa.example"
    assert found["Jörg"][2].startswith("jorg\n")
    assert found["Jörg"][2].endswith("\njorg\nluczak")
    assert found["mia"][2].endswith("garcia")
    assert found["proven"][1] == "max@xn--mller-kva.example"
    assert found["älter"][1] == "max@müller.example", "it keeps its old key"
    assert found["eva@bücher.example"][1] == "eva@xn--bcher-kva.example"
    loser = f"{'A' * 15}15"
    assert found[loser][0] == loser.lower(), "its username was the address: now its public id"
    assert found[loser][1] == ""
    names = dict(await query(database, "SELECT key, user_id FROM names"))
    assert names["max@xn--mller-kva.example"] == 13
    assert names["eva@xn--bcher-kva.example"] == 14
    assert names[loser.lower()] == 15
    assert [line for line in reported if "user 12 (älter)" in line]
    assert [line for line in reported if f"user 15 ({loser})" in line]
    audited = await query(
        database, "SELECT target_id FROM audit WHERE action = 'users.keep_key' ORDER BY target_id"
    )
    assert audited == [(12,), (15,)]


async def test_people_sign_in_and_are_listed_in_order(upgraded: tuple[str, list[str]]):
    database, _ = upgraded
    async with running_client(settings_for(database)) as client:
        for name in (
            "olga",
            "sue",
            "ray@corp.example",
            "älter",
            "max@müller.example",
            "JÖRG@STRASSE.example",
        ):
            answer = await client.post(
                "/accounts/api/users/signin", json={"username": name, "password": PASSWORD}
            )
            assert answer.status_code == (400 if "STRASSE" in name else 200), (name, answer.text)
        token = (
            await client.post(
                "/wiwebb/api/v1/auth/login/", json={"username": "root", "password": PASSWORD}
            )
        ).json()["key"]
        listed = await client.get(
            "/wiwebb/api/v1/users/?page_size=100", headers={"Authorization": f"Token {token}"}
        )
    assert listed.status_code == 200
    assert listed.json()["count"] == sum(not person.deleted for person in PEOPLE)
    usernames = [user["username"] for user in listed.json()["results"]]
    assert usernames.index("älter") < usernames.index("eva@bücher.example")


async def test_down_and_up_again(upgraded: tuple[str, list[str]]):
    database, _ = upgraded
    counters = (
        "SELECT tenant_id, role, active, sum(n) FROM counts GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    before = await query(database, counters)
    await migrate.downgrade(database, "0004")
    assert await query(database, counters) == before
    await migrate.upgrade(database)
    assert await query(database, counters) == before


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_a_sqlite_file_is_copied_first(blank_database: str):
    path = Path(blank_database.removeprefix("sqlite:///"))
    await migrate.upgrade(blank_database, "0003")
    assert list(path.parent.glob("*.before-*")) == [], "there was nothing to lose"
    for revision in ("0004", "0005", "0006"):
        await migrate.upgrade(blank_database, revision)
    copies = sorted(path.parent.glob("*.before-*"))
    assert [copy.name for copy in copies] == [
        f"{path.name}.before-0005",
        f"{path.name}.before-0006",
    ]
    assert {stat.S_IMODE(copy.stat().st_mode) for copy in copies} == {0o600}
    assert await migrate.current_revision(f"sqlite:///{copies[-1]}") == "0005"


async def test_doctor_names_who_lost_the_address(upgraded: tuple[str, list[str]]):
    database, _ = upgraded
    async with app.open_directory(settings_for(database)) as directory:
        findings = await doctor.check_database(directory)
    (finding,) = [found for found in findings if found.check == "addresses"]
    assert finding.state == doctor.WARN
    assert "älter" in finding.found
    assert f"{'A' * 15}15" in finding.found


async def test_who_lost_the_address_can_still_be_changed(upgraded: tuple[str, list[str]]):
    """Another name leaves the address's owner alone; another address gives it a key again."""
    database, _ = upgraded
    async with app.open_directory(settings_for(database)) as directory:
        for changes in (
            UserChanges(first_name="Anna"),
            UserChanges(username="anna"),
            UserChanges(email="anna@corp.example"),
        ):
            async with directory.begin(system_actor("tests")) as tx:
                await users.update(tx, 12, changes)
    names = dict(await query(database, "SELECT key, user_id FROM names"))
    assert {key for key, user_id in names.items() if user_id == 12} == {"anna", "anna@corp.example"}
    assert names["max@xn--mller-kva.example"] == 13
