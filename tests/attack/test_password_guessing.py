"""A hundred guesses an hour on one account, over everything that takes a password; its owner enters.

Two worker processes, addresses as a proxy tells them, and everybody at the same time.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import msgspec
import pytest

from dragoman.rules import passwords
from tests.support import hashes
from tests.support.databases import query
from tests.support.processes import environment
from tests.support.rows import open_rows
from tests.support.server import running_server
from tests.support.user_requests import SIGN_INS
from tests.support.world import Person, World

pytestmark = [pytest.mark.faults, pytest.mark.anyio, pytest.mark.usefixtures("real_hashes")]

PER_ACCOUNT, PER_ADDRESS = 100, 10
GUESSES = int(os.environ.get("FAULT_GUESSES", "150"))
AT_ONCE = 6
PATIENCE_S = 60.0
KNOWN_ADDRESS, UNKNOWN_ADDRESS = "192.0.2.1", "192.0.2.200"
"""From where the owner has signed in before, and from where nobody has."""


class PasswordEndpoint(msgspec.Struct, frozen=True):
    """Something that takes a password, and how it says that it was wrong."""

    path: str
    field: str
    wrong: int
    names: tuple[str, ...]
    session: bool = False


EMAILS = ("mia@acme.test", "MIA@acme.test", "Mia@Acme.TEST", "ｍｉａ@acme.test", " mia@acme.test ")
NAMES = (*EMAILS, "mia", "MIA", "ｍｉａ", "mIa", " mia")
PASSWORD_ENDPOINTS = (
    PasswordEndpoint("/wiwebb/api/v1/auth/login/", "username", 400, NAMES),
    PasswordEndpoint("/wiwebb/api/v1/auth/login/", "email", 400, EMAILS),
    PasswordEndpoint("/accounts/api/users/signin", "username", 400, NAMES),
    PasswordEndpoint("/binacle/api/auth/token", "email", 401, EMAILS),
    PasswordEndpoint("/wekan/users/login", "username", 401, NAMES),
    PasswordEndpoint("/wekan/users/login", "email", 401, EMAILS),
    PasswordEndpoint("/vsay/auth/login", "email", 401, EMAILS),
    PasswordEndpoint("/v1/auth/login", "email", 401, EMAILS),
    PasswordEndpoint("/wiwebb/api/v1/auth/password/change/", "old_password", 400, (), session=True),
    PasswordEndpoint("/accounts/api/users/{id}", "current_password", 400, (), session=True),
)
"""By every contract, every name in every writing; the last two by a session that was stolen."""


class GuessingClients:
    """Guesses at one account, each time through another door and from another address."""

    def __init__(self, client: httpx.Client, world: World) -> None:
        self.client = client
        self.mia = world.people["mia"]

    def guess(self, number: int) -> str:
        """Guess until there is a verdict; return it: ``wrong``, ``limited`` or what else was said.

        A machine that has more to hash than it can says 503 meanwhile, which tells nothing.
        """
        end = time.monotonic() + PATIENCE_S
        while (said := self.guess_once(number)) == "busy" and time.monotonic() < end:
            time.sleep(0.1)
        return said

    def guess_once(self, number: int) -> str:
        """Guess once; return ``wrong``, ``limited``, ``busy`` or whatever else was said."""
        endpoint = PASSWORD_ENDPOINTS[number % len(PASSWORD_ENDPOINTS)]
        turn = number // len(PASSWORD_ENDPOINTS)
        address = f"203.0.{number % 40}.{113 + turn % 2}"
        headers = {"X-Forwarded-For": f"198.51.100.{number % 250}, {address}"}
        wrong = f"guess-Kettle-{number}"
        if not endpoint.session:
            name = endpoint.names[turn % len(endpoint.names)]
            answer = self.client.post(
                endpoint.path, json={endpoint.field: name, "password": wrong}, headers=headers
            )
        else:
            scheme = (
                f"Token {self.mia.tokens['wiwebb' if 'wiwebb' in endpoint.path else 'accounts']}"
            )
            new = {
                "new_password1": "amber-Ladder-73",
                "new_password2": "amber-Ladder-73",
                "password": "amber-Ladder-73",
            }
            answer = self.client.request(
                "POST" if "wiwebb" in endpoint.path else "PUT",
                endpoint.path.format(id=self.mia.id),
                json={**new, endpoint.field: wrong},
                headers={**headers, "Authorization": scheme},
            )
        if answer.status_code == 503:
            return "busy"
        if answer.status_code == 429:
            assert int(answer.headers["Retry-After"]) > 0
            return "limited"
        return (
            "wrong" if answer.status_code == endpoint.wrong else f"{endpoint.path}: {answer.text}"
        )

    def sign_in_everywhere(
        self, address: str, endpoints: Sequence[PasswordEndpoint] = PASSWORD_ENDPOINTS
    ) -> list[int]:
        """Sign in with the right password at each contract, from an address."""
        headers = {"X-Forwarded-For": address}
        return [
            self.client.post(
                endpoint.path,
                json={endpoint.field: endpoint.names[0], "password": self.mia.password},
                headers=headers,
            ).status_code
            for endpoint in endpoints
            if not endpoint.session
        ]


async def store_cheap_hash(database: str, person: Person) -> None:
    """Store a hash of the same password that costs less to verify: there are a hundred to come."""
    with hashes.cheap_hashes():
        encoded = passwords.hash_password(person.password)
    rows = await open_rows(database)
    where = f"id = {person.id:d}"
    await rows.execute([(f"UPDATE users SET password_hash = '{encoded}' WHERE {where}", [])])
    await rows.close()


async def test_a_hundred_guesses_whoever_asks_and_the_owner_enters(
    seeded_database: tuple[str, World], tmp_path: Path
) -> None:
    """By all doors, names, addresses and workers together, all at the same time."""
    database, world = seeded_database
    settings = {**environment(database), "DRAGOMAN_TRUSTED_PROXIES": "127.0.0.1"}
    with (
        running_server(settings, tmp_path, "--workers", "2") as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        gang = GuessingClients(client, world)
        assert gang.sign_in_everywhere(KNOWN_ADDRESS, PASSWORD_ENDPOINTS[:1]) == [200]
        await store_cheap_hash(database, gang.mia)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            said = Counter(pool.map(gang.guess, range(GUESSES)))
        assert said.keys() <= {"wrong", "limited"}, said
        assert said["wrong"] == PER_ACCOUNT, said
        assert set(gang.sign_in_everywhere(UNKNOWN_ADDRESS)) == {429}, "not even with the right one"
        assert set(gang.sign_in_everywhere(KNOWN_ADDRESS)) == {200}
        assert [gang.guess(number) for number in range(len(PASSWORD_ENDPOINTS))] == [
            "limited"
        ] * len(PASSWORD_ENDPOINTS)
    counted = await query(
        database, f"SELECT max(count) FROM failures WHERE account = 'user:{gang.mia.id:d}'"
    )
    assert counted == [(PER_ACCOUNT,)]
    seen = await query(
        database, "SELECT sum(count) FROM audit WHERE action = 'sessions.sign_in_failed'"
    )
    assert seen == [(PER_ACCOUNT,)]


def test_every_password_endpoint_is_listed() -> None:
    """Each sign-in of each contract is among them, or the hundred would not be all."""
    assert {path for path, _ in SIGN_INS.values()} <= {
        endpoint.path for endpoint in PASSWORD_ENDPOINTS
    }
    first = itertools.islice(itertools.cycle(PASSWORD_ENDPOINTS), GUESSES)
    assert set(first) == set(PASSWORD_ENDPOINTS)
