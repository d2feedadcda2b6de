"""The ways in for writers of a storm: an administrator's credential at each contract."""

from __future__ import annotations

import asyncio

import httpx
import msgspec

from dragoman import dialects
from dragoman.rules import crypto
from dragoman.store.invitations import KIND
from tests.faults import tongues
from tests.faults.journal import Account, Journal, State
from tests.support.databases import ADMIN_PASSWORD, SECRET_KEY, query

ADMIN = State(username="admin", email="admin@localhost", password=ADMIN_PASSWORD)
KEEPER = State(
    username="keeper",
    email="keeper@storm.test",
    password="kettle-Violet-0",
    role="tenant_owner",
)


class Doors(msgspec.Struct, frozen=True):
    """Credentials by contract, and the database in which invitations are looked up."""

    tokens: dict[str, str]
    database: str = ""

    def secret(self, email: str) -> str:
        """Return the secret of the newest invitation to an address: what its mail would say."""
        ((number, public_id, generation),) = asyncio.run(
            query(
                self.database,
                "SELECT id, public_id, generation FROM invitations"
                f" WHERE email_key = '{email}' ORDER BY id DESC LIMIT 1",
            )
        )
        return public_id + crypto.derive(SECRET_KEY, KIND, number, generation)


def everywhere(url: str, database: str) -> Doors:
    """Sign the first superadmin in at every contract."""
    tokens: dict[str, str] = {}
    with httpx.Client(base_url=url, timeout=30) as client:
        for name in dialects.NAMES:
            said = tongues.ASK[name](tongues.SIGN_IN, Account(), ADMIN, 0)
            answer = client.post(tongues.url_of(name, said.path), json=said.body)
            assert answer.is_success, f"{name}: {answer.status_code} {answer.text}"
            tokens[name] = tongues.key_in(name, answer.json())
    return Doors(tokens, database)


def keep_an_owner(journal: Journal, url: str, doors: Doors, tenant: int) -> None:
    """Give the tenant an owner whom no writer touches, so that none of theirs is its last."""
    said = tongues.ASK["wiwebb"](tongues.CREATE, Account(), KEEPER, tenant)
    headers = tongues.headers_of("wiwebb", doors.tokens["wiwebb"])
    answer = httpx.post(
        url + tongues.url_of("wiwebb", said.path), json=said.body, headers=headers, timeout=30
    )
    assert answer.status_code == 201, answer.text
    journal.accounts.append(Account(KEEPER, answer.json()["id"], spared=True))
