"""Changes that revoke sessions revoke all of a user's credentials in their own transaction."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dragoman.actions import sign_in, tenants, tokens, users
from dragoman.actions.directory import Directory
from dragoman.actions.steps import passwords
from dragoman.actions.tokens import PresentedCredential
from dragoman.rules import crypto
from dragoman.rules.credentials import CredentialFormat
from dragoman.rules.errors import Unauthenticated
from dragoman.rules.model import Role, TenantChanges, User, UserChanges
from dragoman.rules.passwords import PasswordRules
from dragoman.rules.vocabulary import UNRESTRICTED, AuditAction
from dragoman.store import users as rows
from dragoman.store.transaction import Tx
from tests.support.people import (
    CREDENTIAL_FORMAT,
    SYSTEM_ACTOR,
    UserRow,
    actor_for,
    insert_users,
    make_tenant,
    present_credential,
    transaction,
)

pytestmark = pytest.mark.anyio

Act = Callable[[Tx, User], Awaitable[Any]]


async def _tenant_off(tx: Tx, user: User) -> None:
    assert user.tenant_id is not None
    await tenants.update(tx, user.tenant_id, TenantChanges(active=False), home_slug="main")


REVOKING_ACTS: dict[str, Act] = {
    "deactivation": lambda tx, user: users.set_active(tx, user.id, active=False),
    "deactivation by update": lambda tx, user: users.update(tx, user.id, UserChanges(active=False)),
    "deletion": lambda tx, user: users.delete(tx, user.id, erase=False),
    "erasure": lambda tx, user: users.delete(tx, user.id, erase=True),
    "promotion": lambda tx, user: users.assign_role(tx, user.id, Role.OWNER),
    "demotion": lambda tx, user: users.assign_role(tx, user.id, Role.VIEWER),
    "a new password": lambda tx, user: passwords.store_password(
        tx, user, passwords.HashedPassword("hash", strong=True), AuditAction.SET_PASSWORD
    ),
    "the tenant's deactivation": _tenant_off,
}
HARMLESS_ACTS: dict[str, Act] = {
    "another name": lambda tx, user: users.update(tx, user.id, UserChanges(username="other")),
    "another address": lambda tx, user: users.update(tx, user.id, UserChanges(email="o@x.test")),
    "activation of who is active": lambda tx, user: users.set_active(tx, user.id, active=True),
    "the role it has": lambda tx, user: users.assign_role(tx, user.id, Role.MEMBER),
    "an unrelated change of another user": lambda tx, _: users.set_active(tx, 1, active=True),
}


async def credential_validity(
    directory: Directory, credentials: list[PresentedCredential]
) -> list[str]:
    """Return whether each credential is valid."""
    said: list[str] = []
    for presented in credentials:
        try:
            await tokens.authenticate(directory, presented)
            said.append("valid")
        except Unauthenticated as error:
            said.append(error.reason)
    return said


async def member(
    directory: Directory, name: str = "member"
) -> tuple[User, list[PresentedCredential]]:
    """Return a member of a tenant of its own, and its credentials of two contracts."""
    home = await make_tenant(directory, re.sub(r"\W", "-", name))
    other = CredentialFormat(contract="other", generate=crypto.generate_urlsafe)
    async with transaction(directory) as tx:
        (member_id,) = await insert_users(tx, [UserRow(username=name, tenant_id=home)])
        user = await rows.get(tx, member_id)
        secret = (await tokens.issue(tx, directory, user.id, other)).secret
    of_other = PresentedCredential(
        credential_format=other, secret=secret, restrictions=UNRESTRICTED, request_id="", address=""
    )
    return user, [await present_credential(directory, user.id), of_other]


async def test_every_credential_is_revoked_at_the_commit(directory: Directory):
    bystander = await present_credential(directory, 1)
    said: dict[str, list[str]] = {}
    for name, act in REVOKING_ACTS.items():
        user, held = await member(directory, name)
        async with transaction(directory) as tx:
            await act(tx, user)
        said[name] = await credential_validity(directory, held)
    assert {name: states for name, states in said.items() if "valid" in states} == {}
    assert await credential_validity(directory, [bystander]) == ["valid"]


async def test_a_rollback_revokes_nothing(directory: Directory):
    said: dict[str, list[str]] = {}
    for name, act in REVOKING_ACTS.items():
        user, held = await member(directory, name)
        with pytest.raises(ZeroDivisionError):
            async with transaction(directory) as tx:
                await act(tx, user)
                raise ZeroDivisionError
        said[name] = await credential_validity(directory, held)
    assert {name: states for name, states in said.items() if states != ["valid", "valid"]} == {}


async def test_changes_that_revoke_nothing(directory: Directory):
    said: dict[str, list[str]] = {}
    for name, act in HARMLESS_ACTS.items():
        user, held = await member(directory, name)
        async with transaction(directory) as tx:
            await act(tx, user)
        said[name] = await credential_validity(directory, held)
    assert {name: states for name, states in said.items() if states != ["valid", "valid"]} == {}


async def test_reactivating_a_user_does_not_restore_sessions(directory: Directory):
    user, held = await member(directory)
    for active in (False, True):
        async with transaction(directory) as tx:
            await users.set_active(tx, user.id, active=active)
    assert await credential_validity(directory, held) == ["unknown", "unknown"]


async def test_reactivating_a_tenant_does_not_restore_sessions(directory: Directory):
    user, held = await member(directory)
    for active in (False, True):
        async with transaction(directory) as tx:
            assert user.tenant_id is not None
            await tenants.update(tx, user.tenant_id, TenantChanges(active=active), home_slug="main")
    assert await credential_validity(directory, held) == ["unknown", "unknown"]


async def test_setting_a_password_revokes_sessions(directory: Directory):
    user, held = await member(directory)
    await users.set_password(directory, SYSTEM_ACTOR, user.id, "another-Kettle-43", PasswordRules())
    assert "valid" not in await credential_validity(directory, held)
    _, given = await sign_in.sign_in(
        directory, SYSTEM_ACTOR, "member", "another-Kettle-43", CREDENTIAL_FORMAT
    )
    fresh = PresentedCredential(
        credential_format=CREDENTIAL_FORMAT,
        secret=given.secret,
        restrictions=UNRESTRICTED,
        request_id="",
        address="",
    )
    assert await credential_validity(directory, [fresh]) == ["valid"]


async def test_a_revoked_actor_changes_nothing(directory: Directory):
    """Hashing may delay a request; its transaction checks the session again."""
    passed: list[str] = []
    for name, act in REVOKING_ACTS.items():
        user, _ = await member(directory, name)
        actor = await actor_for(directory, user.id)
        async with transaction(directory) as tx:
            await act(tx, user)
        try:
            async with directory.begin(actor):
                passed.append(name)
        except Unauthenticated:
            pass
    assert passed == []


async def test_a_tenant_reactivated_meanwhile_has_revoked_its_users_sessions(directory: Directory):
    user, _ = await member(directory)
    actor = await actor_for(directory, user.id)
    for active in (False, True):
        async with transaction(directory) as tx:
            assert user.tenant_id is not None
            await tenants.update(tx, user.tenant_id, TenantChanges(active=active), home_slug="main")
    with pytest.raises(Unauthenticated):
        async with directory.begin(actor):
            pytest.fail("a transaction of a revoked actor began")


async def test_a_credential_is_valid_at_its_own_contract_alone(directory: Directory):
    _, (of_tests, of_other) = await member(directory)
    stolen = PresentedCredential(
        credential_format=of_other.credential_format,
        secret=of_tests.secret,
        restrictions=UNRESTRICTED,
        request_id="",
        address="",
    )
    assert await credential_validity(directory, [stolen]) == ["unknown"]
