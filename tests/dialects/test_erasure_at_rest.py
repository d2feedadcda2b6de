"""Whoever is erased, by any contract that erases or at the terminal, is in no file any more."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from dragoman import app, dialects
from dragoman.actions import erasure, users
from dragoman.actions.directory import Directory
from dragoman.actions.system import system_actor
from dragoman.rules.fields import search_key
from dragoman.rules.model import User, UserChanges
from dragoman.settings import Settings
from dragoman.store.drivers import sqlite_library
from tests.support import user_requests
from tests.support.databases import settings_for
from tests.support.people import make_user
from tests.support.running_app import running_client
from tests.support.terminal import Terminal
from tests.support.world import World

pytestmark = pytest.mark.sqlite

FIELDS = {
    "email": "zelda.quirk@postbox.example",
    "first_name": "Ωμέγα",
    "last_name": "Quirkington",
    "display_name": "Zelda the Great",
    "phone": "+48 600 123 321",
    "bio": "collects stamps of Ruritania",
    "url": "https://zelda.example.com/about",
    "company": "Quirkington & Daughters",
    "location": "Lublin-Felin",
}
FORMER_EMAIL = "zq.before@postbox.example"
ERASING = [name for name in ("accounts", "wekan", "wiwebb") if name in dialects.NAMES]
WORDS = ("zeldaquirk", FORMER_EMAIL, *FIELDS.values())
TRIGRAM = search_key(FIELDS["first_name"])[:3]
"""A part of a name as the search index holds it; nobody else has these letters."""


def found_in(folder: Path) -> set[str]:
    """Return the words that are in any file of a folder."""
    data = b"".join(path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file())
    return {word for word in (*WORDS, TRIGRAM) if word.encode() in data}


async def _make_person(settings: Settings, world: World) -> User:
    async with app.open_directory(settings) as directory:
        home = world.tenants["main"].id
        fields = {**FIELDS, "email": FORMER_EMAIL}
        user = await make_user(directory, "zeldaquirk", tenant_id=home, **fields)
        async with directory.begin(system_actor("tests")) as tx:
            await users.update(tx, user.id, UserChanges(email=FIELDS["email"]))
    async with running_client(settings) as client:
        reset = {"email": FIELDS["email"]}
        await client.post("/wiwebb/api/v1/auth/password/reset/", json=reset)
        for contract in dialects.NAMES:
            request = user_requests.sign_in(contract, FIELDS["email"], "wrong-Kettle-1")
            url = user_requests.url_of(contract, request.path)
            await client.request(request.method, url, json=request.body)
    return user


async def _delete_at(settings: Settings, world: World, contract: str, user: User) -> None:
    person = world.people["root"]
    request = user_requests.delete(contract, user)
    async with running_client(settings) as client:
        answer = await client.request(
            request.method,
            user_requests.url_of(contract, request.path),
            headers=user_requests.headers_of(contract, person.tokens[contract]),
        )
    assert answer.is_success, answer.text


async def _keep_then_erase(settings: Settings, user: User) -> None:
    async with app.open_directory(settings) as directory:
        async with directory.begin(system_actor("tests")) as tx:
            await users.delete(tx, user.id, erase=False)
        await _erase(directory, user.id)


async def _erase(directory: Directory, user_id: int) -> None:
    async with directory.begin(system_actor("tests")) as tx:
        await erasure.erase(tx, user_id)


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize("by", [*ERASING, "terminal", "terminal delete", "tombstone"])
def test_no_file_holds_anything_of_an_erased_person(
    seeded_database: tuple[str, World], tmp_path: Path, by: str
) -> None:
    database, world = seeded_database
    settings = settings_for(database)
    folder = Path(database.removeprefix("sqlite:///")).parent
    user = asyncio.run(_make_person(settings, world))
    assert found_in(folder) >= {*WORDS, TRIGRAM} - {FORMER_EMAIL}, "the test finds what is there"
    path = database.removeprefix("sqlite:///")
    with contextlib.closing(sqlite_library.connect(path)) as reader:
        if by in ERASING:
            asyncio.run(_delete_at(settings, world, by, user))
        elif by == "tombstone":
            asyncio.run(_keep_then_erase(settings, user))
        else:
            verb = "erase" if by == "terminal" else "delete"
            done = Terminal(database, tmp_path).run("users", verb, "zeldaquirk", "--yes")
            assert done.exit_code == 0, done.stderr
        assert found_in(folder) == set()
        columns = reader.execute("SELECT count(*) FROM users WHERE username = 'mia'").fetchone()
        assert columns == (1,), "the others are there"
