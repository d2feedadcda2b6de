"""Everything that ``openapi.yaml`` allows and forbids, and what no document foresees."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from dragoman import app
from dragoman.actions import user_lists
from dragoman.actions.steps import credentials, open_invitations
from dragoman.actions.system import system_actor
from dragoman.rules import crypto
from dragoman.rules.model import DAY, Role
from dragoman.settings import Rate, Settings
from dragoman.store import invitations
from tests.support.databases import Shelf
from tests.support.schema_checks import Aims, Caller, Document
from tests.support.world import PASSWORD, World

OFFERS = 40
"""How many invitations are pending: acceptances and revocations use them up."""
REFRESH: dict[str, Any] = {}
"""A refresh token that is good in the database of the moment."""


def ids(world: World) -> dict[str, list[Any]]:
    """Return whom an owner of acme finds, and one that it does not."""
    reach = ("olga", "otto", "mia", "idle", "vic")
    return {"id": [f"usr_{world.people[name].public_id}" for name in (*reach, "gus", *reach)]}


BY_SECRET = {
    "GET /users/invitations/{invitation}",
    "POST /users/invitations/{invitation}/accept",
}
PUBLIC = {*BY_SECRET, "POST /auth/login", "POST /auth/refresh"}


class Offers(msgspec.Struct):
    """Pending invitations of acme: their ids, and the secrets of their links."""

    ids: list[str]
    secrets: list[str]


async def invite(settings: Settings) -> Offers:
    """Let olga invite many, and give her a refresh token."""
    made = Offers([], [])
    async with app.opened(settings) as directory, directory.begin(system_actor("tests")) as tx:
        olga = await user_lists.find(tx, username="olga")
        for number in range(OFFERS):
            found = await invitations.insert(
                tx,
                public_id=crypto.make_public_id(),
                tenant_id=olga.tenant_id,
                email=f"offer{number}@fresh.test",
                name="New User",
                role=Role.MEMBER,
                resources=("mch_1",),
                inviter_id=olga.id,
                expires_at=tx.now + 7 * DAY,
            )
            made.ids.append(f"inv_{found.public_id}")
            made.secrets.append(open_invitations.secret_of(directory, found))
        credential = await credentials.mint(tx, directory, olga, app.kind_of("vsay"))
        REFRESH["refresh_token"] = credential.refresh
    return made


def prepare(caller: Caller) -> None:
    """Put invitations into a fresh world, and let everybody call as often as they like."""
    made = asyncio.run(invite(caller.settings))
    for operation in caller.document.operations:
        known = made.secrets if operation.label in BY_SECRET else made.ids
        caller.at[operation.label] = {"invitation": known}
    unlimited = msgspec.structs.replace(caller.settings, user_rate=Rate(0, 1))
    caller.document.stage.application = app.create(unlimited)


DOCUMENT = Document(
    "vsay",
    Aims(
        paths=ids,
        prepare=prepare,
        unique={"email": "new{}@fresh.test"},
        bodies={
            "POST /auth/login": {"email": "olga@acme.test", "password": PASSWORD},
            "POST /auth/refresh": REFRESH,
        },
        spends=frozenset({"POST /auth/logout"}),
    ),
)


@pytest.mark.sqlite
@pytest.mark.parametrize("operation", DOCUMENT.operations, ids=lambda operation: operation.label)
def test_answers_are_those_of_the_document(shelf: Shelf, operation: Any) -> None:
    """For every endpoint, asked by an admin."""
    with DOCUMENT.calling(shelf, "sqlite", "olga") as caller:
        DOCUMENT.try_everything(caller, operation)
    reached = {status for _, status in caller.statuses}
    assert reached & {200, 201}, caller.statuses
    if operation.label not in PUBLIC:
        assert caller.statuses[operation.label, 401] <= 1, caller.statuses


@pytest.mark.sqlite
@pytest.mark.parametrize("who", ["root", "mia", "vic", "nobody"])
def test_answers_to_others_are_too(shelf: Shelf, who: str) -> None:
    """Asked by a platform administrator, a member, a viewer, and by who has no credential."""
    with DOCUMENT.calling(shelf, "sqlite", who) as caller:
        DOCUMENT.try_some(caller, every=7)
    done = {label for label, status in caller.statuses if status < 300}
    reading = {"GET /users", "GET /users/{id}", "GET /auth/me", "POST /auth/logout"}
    if who == "nobody":
        assert done <= PUBLIC
    elif who != "root":
        assert done <= PUBLIC | reading


@pytest.mark.postgresql
@pytest.mark.parametrize("who", ["olga", "mia"])
def test_answers_are_the_same_ones_on_postgresql(shelf: Shelf, who: str) -> None:
    """Fewer of them: what differs is the store alone."""
    with DOCUMENT.calling(shelf, "postgresql", who) as caller:
        DOCUMENT.try_some(caller, every=9)
