"""The ways in for writers of a storm: an administrator's credential at each contract."""

from __future__ import annotations

import asyncio

import httpx
import msgspec

from dragoman import dialects
from dragoman.rules import crypto
from dragoman.store.invitations import OUTBOX_KIND
from tests.faults.journal import Account, Journal, State
from tests.support import user_requests
from tests.support.databases import ADMIN_PASSWORD, SECRET_KEY, query

ADMIN = State(username="admin", email="admin@localhost", password=ADMIN_PASSWORD)
PERMANENT_OWNER = State(
    username="keeper",
    email="keeper@storm.test",
    password="kettle-Violet-0",
    role="tenant_owner",
)


class AdminCredentials(msgspec.Struct, frozen=True):
    """Credentials by contract, and the database in which invitations are looked up."""

    tokens: dict[str, str]
    database: str = ""

    def invitation_secret(self, email: str) -> str:
        """Return the secret of the newest invitation to an address: what its mail would say."""
        ((number, public_id, generation),) = asyncio.run(
            query(
                self.database,
                "SELECT id, public_id, generation FROM invitations"
                f" WHERE email_key = '{email}' ORDER BY id DESC LIMIT 1",
            )
        )
        return public_id + crypto.derive(SECRET_KEY, OUTBOX_KIND, number, generation)


def sign_in_everywhere(url: str, database: str) -> AdminCredentials:
    """Sign the first superadmin in at every contract."""
    tokens: dict[str, str] = {}
    with httpx.Client(base_url=url, timeout=30) as client:
        for name in dialects.NAMES:
            request = user_requests.sign_in(
                name, user_requests.login_name(name, ADMIN), ADMIN.password
            )
            answer = client.post(user_requests.url_of(name, request.path), json=request.body)
            assert answer.is_success, f"{name}: {answer.status_code} {answer.text}"
            tokens[name] = user_requests.credential_in(name, answer.json())
    return AdminCredentials(tokens, database)


def add_permanent_owner(
    journal: Journal, url: str, credentials: AdminCredentials, tenant: int
) -> None:
    """Give the tenant an owner whom no writer touches, so that none of theirs is its last."""
    request = user_requests.create(
        "wiwebb", PERMANENT_OWNER, role=PERMANENT_OWNER.role, tenant=tenant
    )
    headers = user_requests.headers_of("wiwebb", credentials.tokens["wiwebb"])
    answer = httpx.post(
        url + user_requests.url_of("wiwebb", request.path),
        json=request.body,
        headers=headers,
        timeout=30,
    )
    assert answer.status_code == 201, answer.text
    journal.accounts.append(Account(PERMANENT_OWNER, answer.json()["id"], excluded=True))
