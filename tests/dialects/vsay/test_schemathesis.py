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
from tests.support.databases import DatabaseTemplates
from tests.support.schema_checks import DocumentOptions, SchemaDocument, SchemaTester
from tests.support.world import PASSWORD, World

PENDING_COUNT = 40
"""How many invitations are pending: acceptances and revocations use them up."""
REFRESH: dict[str, Any] = {}
"""A refresh token that is good in the database of the moment."""


def ids(world: World) -> dict[str, list[Any]]:
    """Return whom an owner of acme finds, and one that it does not."""
    reach = ("olga", "otto", "mia", "idle", "vic")
    return {"id": [f"usr_{world.people[name].public_id}" for name in (*reach, "gus", *reach)]}


SECRET_OPERATIONS = {
    "GET /users/invitations/{invitation}",
    "POST /users/invitations/{invitation}/accept",
}
PUBLIC = {*SECRET_OPERATIONS, "POST /auth/login", "POST /auth/refresh"}


class PendingInvitations(msgspec.Struct):
    """Pending invitations of acme: their ids, and the secrets of their links."""

    ids: list[str]
    secrets: list[str]


async def invite(settings: Settings) -> PendingInvitations:
    """Let olga invite many, and give her a refresh token."""
    made = PendingInvitations([], [])
    async with (
        app.open_directory(settings) as directory,
        directory.begin(system_actor("tests")) as tx,
    ):
        olga = await user_lists.find(tx, username="olga")
        for number in range(PENDING_COUNT):
            found = await invitations.insert(
                tx,
                public_id=crypto.generate_public_id(),
                tenant_id=olga.tenant_id,
                email=f"offer{number}@fresh.test",
                name="New User",
                role=Role.MEMBER,
                resources=("mch_1",),
                inviter_id=olga.id,
                expires_at=tx.now + 7 * DAY,
            )
            made.ids.append(f"inv_{found.public_id}")
            made.secrets.append(open_invitations.link_secret(directory, found))
        credential = await credentials.mint(tx, directory, olga, app.credential_format("vsay"))
        REFRESH["refresh_token"] = credential.refresh_token
    return made


def prepare(caller: SchemaTester) -> None:
    """Put invitations into a fresh world, and let everybody call as often as they like."""
    made = asyncio.run(invite(caller.settings))
    for operation in caller.document.operations:
        known = made.secrets if operation.label in SECRET_OPERATIONS else made.ids
        caller.at[operation.label] = {"invitation": known}
    unlimited = msgspec.structs.replace(caller.settings, user_rate=Rate(0, 1))
    caller.document.stage.application = app.create(unlimited)


DOCUMENT = SchemaDocument(
    "vsay",
    DocumentOptions(
        path_values=ids,
        prepare=prepare,
        unique_fields={"email": "new{}@fresh.test"},
        body_overrides={
            "POST /auth/login": {"email": "olga@acme.test", "password": PASSWORD},
            "POST /auth/refresh": REFRESH,
        },
        single_use_operations=frozenset({"POST /auth/logout"}),
    ),
)


@pytest.mark.sqlite
@pytest.mark.parametrize("operation", DOCUMENT.operations, ids=lambda operation: operation.label)
def test_answers_are_those_of_the_document(
    database_templates: DatabaseTemplates, operation: Any
) -> None:
    """For every endpoint, asked by an admin."""
    with DOCUMENT.tester(database_templates, "sqlite", "olga") as caller:
        DOCUMENT.run_all_cases(caller, operation)
    reached = {status for _, status in caller.statuses}
    assert reached & {200, 201}, caller.statuses
    if operation.label not in PUBLIC:
        assert caller.statuses[operation.label, 401] <= 1, caller.statuses


@pytest.mark.sqlite
@pytest.mark.parametrize("who", ["root", "mia", "vic", "nobody"])
def test_answers_to_others_are_too(database_templates: DatabaseTemplates, who: str) -> None:
    """Asked by a platform administrator, a member, a viewer, and by who has no credential."""
    with DOCUMENT.tester(database_templates, "sqlite", who) as caller:
        DOCUMENT.run_sample(caller, every=7)
    done = {label for label, status in caller.statuses if status < 300}
    reading = {"GET /users", "GET /users/{id}", "GET /auth/me", "POST /auth/logout"}
    if who == "nobody":
        assert done <= PUBLIC
    elif who != "root":
        assert done <= PUBLIC | reading


@pytest.mark.postgresql
@pytest.mark.parametrize("who", ["olga", "mia"])
def test_answers_are_the_same_ones_on_postgresql(
    database_templates: DatabaseTemplates, who: str
) -> None:
    """Fewer of them: what differs is the store alone."""
    with DOCUMENT.tester(database_templates, "postgresql", who) as caller:
        DOCUMENT.run_sample(caller, every=9)
