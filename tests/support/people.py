"""People and credentials made below the dialects, for tests of the lower floors."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from dragoman import app
from dragoman.actions import tenants, tokens, users
from dragoman.actions.directory import Directory
from dragoman.actions.system import system_actor
from dragoman.actions.tokens import PresentedCredential
from dragoman.rules import crypto
from dragoman.rules.actor import Actor
from dragoman.rules.credentials import CredentialFormat
from dragoman.rules.errors import Invalid
from dragoman.rules.model import NewUser, Role, TenantChanges, User
from dragoman.rules.passwords import PasswordRules
from dragoman.rules.vocabulary import UNRESTRICTED, Restrictions
from dragoman.settings import Settings
from dragoman.store import users as rows
from dragoman.store.query import Query
from dragoman.store.schema import users as table
from dragoman.store.transaction import Tx

CREDENTIAL_FORMAT = CredentialFormat(contract="tests", generate=crypto.generate_hex)
SYSTEM_ACTOR = system_actor("tests")
PASSWORD = "violet-Kettle-42"
LIVING_IDS: Query[int] = Query(sa.select(table.c.id).where(table.c.deleted_at.is_(None)))


@contextlib.asynccontextmanager
async def transaction(directory: Directory, actor: Actor = SYSTEM_ACTOR) -> AsyncGenerator[Tx]:
    """Open the transaction of one change; by default of the machine that tests are."""
    async with directory.begin(actor) as tx:
        yield tx


async def make_tenant(directory: Directory, slug: str) -> int:
    """Add a tenant and return its id."""
    async with transaction(directory) as tx:
        made = await tenants.create(tx, TenantChanges(name=slug, slug=slug))
    return made.tenant.id


async def make_user(
    directory: Directory,
    username: str,
    role: Role = Role.MEMBER,
    tenant_id: int | None = None,
    *,
    password: str = PASSWORD,
    **fields: Any,
) -> User:
    """Add a user through the action."""
    new = NewUser(username=username, role=role, tenant_id=tenant_id, **fields)
    return await users.create(directory, SYSTEM_ACTOR, new, password, PasswordRules())


class UserRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a test says of a row of users; the rest of it does not matter there."""

    username: str
    tenant_id: int | None = None
    role: Role = Role.MEMBER
    email: str = ""
    first_name: str = ""
    last_name: str = ""
    active: bool = True
    created_at: int = 1
    last_login_at: int = 0
    approved: bool = True
    signed_up: bool = False
    verified: bool = False


async def insert_users(tx: Tx, user_rows: Iterable[UserRow]) -> list[int]:
    """Add users through the store alone, by the hundred; returns their ids."""
    blank = {
        "display_name": "", "phone": "", "bio": "", "url": "", "company": "", "location": "",
        "password_hash": "", "strong_password": None, "password_reaches": None, "email_assigned": True, "auth_epoch": 0, "updated_at": 1,
    }  # fmt: skip
    ids: list[int] = []
    for row in user_rows:
        public_id = crypto.generate_public_id()
        values = {**msgspec.structs.asdict(row), **blank, "public_id": public_id}
        user_id = await rows.insert(tx, {**values, "role": int(row.role)})
        await rows.claim_names(tx, user_id, row.username, row.email)
        ids.append(user_id)
    return ids


async def present_credential(
    directory: Directory, user_id: int, restrictions: Restrictions = UNRESTRICTED
) -> PresentedCredential:
    """Issue a credential of the contract ``tests`` to somebody."""
    async with transaction(directory) as tx:
        secret = (await tokens.issue(tx, directory, user_id, CREDENTIAL_FORMAT)).secret
    return PresentedCredential(
        credential_format=CREDENTIAL_FORMAT,
        secret=secret,
        restrictions=restrictions,
        request_id="",
        address="",
    )


async def actor_for(
    directory: Directory, user_id: int, restrictions: Restrictions = UNRESTRICTED
) -> Actor:
    """Return somebody as actor, behind a credential of its own."""
    presented = await present_credential(directory, user_id, restrictions)
    return (await tokens.authenticate(directory, presented)).actor


def anonymous_actor(address: str = "192.0.2.1") -> Actor:
    """Return somebody who has not signed in."""
    restrictions = UNRESTRICTED
    return Actor(kind="visitor", contract="tests", restrictions=restrictions, address=address)


@contextlib.asynccontextmanager
async def open_directory(settings: Settings) -> AsyncGenerator[Directory]:
    """Open the directory of these settings for a while."""
    async with app.open_directory(settings) as directory:
        yield directory


def usernames(found: Sequence[User]) -> list[str]:
    """Return the usernames of users."""
    return [user.username for user in found]


def problem_codes(raised: pytest.ExceptionInfo[Invalid]) -> list[tuple[str, str]]:
    """Return which fields were refused, and why."""
    return [(problem.field, problem.code) for problem in raised.value.problems]
