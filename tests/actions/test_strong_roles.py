"""Owners and platform administrators need a strong password; nobody is locked out by it."""

from __future__ import annotations

from typing import Any

import pytest

from dragoman.actions import password_resets, sign_in, users
from dragoman.actions.directory import Directory
from dragoman.jobs import doctor
from dragoman.rules.errors import Invalid, WeakPassword
from dragoman.rules.model import NewUser, Role, User, UserChanges
from dragoman.rules.passwords import PasswordRules, weakness
from dragoman.store import users as rows
from tests.support.people import (
    CREDENTIAL_FORMAT,
    PASSWORD,
    SYSTEM_ACTOR,
    actor_for,
    anonymous_actor,
    make_tenant,
    make_user,
    problem_codes,
    transaction,
)

pytestmark = pytest.mark.anyio

LAX = PasswordRules(min_length=1)
STRONG_ROLES = (Role.SUPERADMIN, Role.ADMIN, Role.OWNER)


@pytest.fixture
async def home(directory: Directory) -> int:
    return await make_tenant(directory, "strong")


async def strength(directory: Directory, user_id: int) -> bool | None:
    user = await rows.find(directory.read(SYSTEM_ACTOR), user_id)
    assert user is not None
    return user.strong_password


async def forget_strength(directory: Directory, user_id: int) -> None:
    """Make a user like one who was imported, or was there before."""
    async with transaction(directory) as tx:
        await rows._update(tx, user_id, {"strong_password": None})


@pytest.mark.parametrize(
    ("password", "detail"),
    [("z", 8), ("1234567", 8), ("longname", "username"), ("LongName", "username"),
     ("long@example.com", "email")],
)  # fmt: skip
@pytest.mark.parametrize("role", STRONG_ROLES)
async def test_no_weak_password_is_set(
    directory: Directory, home: int, role: Role, password: str, detail: Any
):
    tenant_id = None if role.is_platform_role else home
    new = NewUser(username="longname", email="long@example.com", role=role, tenant_id=tenant_id)
    with pytest.raises(Invalid) as raised:
        await users.create(directory, SYSTEM_ACTOR, new, password, LAX)
    assert problem_codes(raised) == [("password", "weak")]
    assert raised.value.problems[0].detail == detail
    user = await make_user(
        directory, "longname", role, tenant_id, email="long@example.com", password=PASSWORD
    )
    assert await strength(directory, user.id) is True
    with pytest.raises(Invalid):
        await users.set_password(directory, SYSTEM_ACTOR, user.id, password, LAX)
    actor = await actor_for(directory, user.id)
    with pytest.raises(Invalid):
        await sign_in.change_password(directory, actor, PASSWORD, password, LAX)
    assert await strength(directory, user.id) is True


async def test_a_member_may_keep_the_contracts_minimum(directory: Directory, home: int):
    user = await make_user(directory, "mo", tenant_id=home, password="z")
    assert await strength(directory, user.id) is False
    async with transaction(directory) as tx:
        with pytest.raises(WeakPassword):
            await users.assign_role(tx, user.id, Role.OWNER)
    await users.set_password(directory, SYSTEM_ACTOR, user.id, PASSWORD, LAX)
    assert await strength(directory, user.id) is True
    async with transaction(directory) as tx:
        await users.assign_role(tx, user.id, Role.OWNER)


async def test_a_name_that_comes_with_the_password_counts(directory: Directory, home: int):
    user = await make_user(directory, "mo", tenant_id=home)
    changes = UserChanges(username="longname")
    await users.set_password(directory, SYSTEM_ACTOR, user.id, "longname", LAX, changes=changes)
    assert await strength(directory, user.id) is False


async def test_what_is_unknown_is_learnt_at_the_sign_in(directory: Directory, home: int):
    """The promotion passes meanwhile, sign-in works after it, and the doctor names the person."""
    user = await make_user(directory, "mo", tenant_id=home, password="z")
    await forget_strength(directory, user.id)
    async with transaction(directory) as tx:
        await users.assign_role(tx, user.id, Role.OWNER)
    assert await strength(directory, user.id) is None
    for _ in range(2):
        await sign_in.sign_in(directory, anonymous_actor(), "mo", "z", CREDENTIAL_FORMAT)
        assert await strength(directory, user.id) is False
    findings = await doctor.check_database(directory)
    (finding,) = (each for each in findings if each.check == "passwords")
    assert finding.state == doctor.WARN
    assert "mo" in finding.found


async def test_a_sign_up_that_becomes_owner(directory: Directory):
    new = NewUser(username="first")
    with pytest.raises(Invalid) as raised:
        await sign_in.sign_up(
            directory, anonymous_actor(), new, "z", LAX, None, first_becomes_owner=True
        )
    assert problem_codes(raised) == [("password", "weak")]
    new = NewUser(username="first")
    user, _ = await sign_in.sign_up(
        directory, anonymous_actor(), new, PASSWORD, LAX, None, first_becomes_owner=True
    )
    assert user.role is Role.OWNER


async def test_a_promotion_while_the_password_is_reset(
    directory: Directory, home: int, monkeypatch: pytest.MonkeyPatch
):
    user = await make_user(directory, "mo", tenant_id=home, email="mo@example.com")
    await password_resets.request_reset(directory, anonymous_actor(), "mo@example.com")
    secret = await reset_secret_of(directory, user)
    plain = directory.password_hasher.hash

    async def promote_meanwhile(password: str) -> str:
        async with transaction(directory) as tx:
            await users.assign_role(tx, user.id, Role.OWNER)
        return await plain(password)

    monkeypatch.setattr(directory.password_hasher, "hash", promote_meanwhile)
    with pytest.raises(Exception, match=r"weak|token"):
        await password_resets.reset_password(
            directory, anonymous_actor(), user.public_id, secret, "z", LAX
        )
    assert await strength(directory, user.id) is True


async def reset_secret_of(directory: Directory, user: User) -> str:
    from dragoman.actions.steps import mailed_links
    from dragoman.store import one_time_secrets

    row = await one_time_secrets.find(directory.read(SYSTEM_ACTOR), user.id, "reset")
    assert row is not None
    return mailed_links.derive_secret(directory, row)


def test_weakness_of_an_empty_address():
    assert weakness("longenough", username="x", email="") == []
