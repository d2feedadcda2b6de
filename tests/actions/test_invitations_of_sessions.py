"""Invitations end with the session that sent them: a stolen session leaves none behind."""

from __future__ import annotations

import pytest

from dragoman.actions import invitations, password_resets, sign_in, users
from dragoman.actions.directory import Directory
from dragoman.actions.steps import open_invitations
from dragoman.rules.actor import Actor
from dragoman.rules.errors import NotFound
from dragoman.rules.model import Invitation, Role, User
from dragoman.rules.passwords import PasswordRules
from tests.actions.test_strong_roles import reset_secret_of
from tests.support.people import (
    PASSWORD,
    SYSTEM_ACTOR,
    actor_for,
    anonymous_actor,
    make_tenant,
    make_user,
    transaction,
)

pytestmark = pytest.mark.anyio

NEW_PASSWORD = "another-Kettle-42"
RULES = PasswordRules()


@pytest.fixture
async def olga(directory: Directory) -> User:
    home = await make_tenant(directory, "home")
    return await make_user(directory, "olga", Role.OWNER, home, email="olga@example.com")


async def invite(directory: Directory, actor: Actor, name: str) -> Invitation:
    async with transaction(directory, actor) as tx:
        return await invitations.invite(tx, email=f"{name}@example.com", name=name, role=Role.OWNER)


async def is_open(directory: Directory, invitation: Invitation) -> bool:
    secret = open_invitations.link_secret(directory, invitation)
    try:
        await invitations.get_open(directory, anonymous_actor(), secret)
    except NotFound:
        return False
    return True


async def test_changing_the_own_password_keeps_those_of_the_own_session(
    directory: Directory, olga: User
):
    own, stolen = await actor_for(directory, olga.id), await actor_for(directory, olga.id)
    good, bad = await invite(directory, own, "good"), await invite(directory, stolen, "bad")
    resent = await invite(directory, own, "resent")
    async with transaction(directory, stolen) as tx:
        resent = await invitations.resend(tx, resent.public_id)
    await sign_in.change_password(directory, own, PASSWORD, NEW_PASSWORD, RULES)
    assert [await is_open(directory, each) for each in (good, bad, resent)] == [
        True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("how", ["set", "reset"])
async def test_another_password_ends_them_all(directory: Directory, olga: User, how: str):
    actor = await actor_for(directory, olga.id)
    pending = await invite(directory, actor, "bad")
    if how == "set":
        await users.set_password(directory, SYSTEM_ACTOR, olga.id, NEW_PASSWORD, RULES)
    else:
        await password_resets.request_reset(directory, anonymous_actor(), olga.email)
        secret = await reset_secret_of(directory, olga)
        await password_resets.reset_password(
            directory, anonymous_actor(), olga.public_id, secret, NEW_PASSWORD, RULES
        )
    assert not await is_open(directory, pending)
