"""The first start: the catalogue, the tenant of the settings, the first superadmin."""

from __future__ import annotations

import uuid

import msgspec

from dragoman.actions import users
from dragoman.actions.directory import Directory
from dragoman.actions.system import system_actor
from dragoman.rules import crypto
from dragoman.rules.errors import Invalid
from dragoman.rules.fields import UsernameCharset
from dragoman.rules.model import NewUser, Role
from dragoman.rules.passwords import PasswordRules
from dragoman.rules.vocabulary import Action
from dragoman.store import audit, permissions, tenants
from dragoman.store import users as user_store
from dragoman.store.transaction import LOCK_TENANT_NAMES

PASSWORD_RULES = PasswordRules(min_length=1)


class FirstAdmin(msgspec.Struct, frozen=True):
    """The first superadmin, if this start made it; ``generated`` if its password was."""

    username: str
    password: str
    generated: bool


async def bootstrap(directory: Directory) -> FirstAdmin | None:
    """Bring an empty directory to life; does nothing that was done before.

    Returns the first superadmin where this call made it. Raises Invalid if the settings name
    an administrator that cannot be.
    """
    settings = directory.settings
    actor = system_actor("first start")
    async with directory.begin(actor) as tx:
        await tx.lock(LOCK_TENANT_NAMES)
        await permissions.insert_missing(tx)
        if await tenants.find_by_slug(tx, settings.tenant) is None:
            name = settings.tenant
            if await tenants.find_by_name(tx, name) is not None:
                name = f"{name} {crypto.generate_public_id()}"
            row = {"public_id": str(uuid.uuid4()), "name": name}
            blank = {"email": "", "url": "", "description": "", "active": True}
            tenant_id = await tenants.insert(tx, {**row, "slug": settings.tenant, **blank})
            audit.write(
                tx,
                Action.CREATE_TENANT,
                target_kind="tenant",
                target_id=tenant_id,
                tenant_id=tenant_id,
            )
        if await user_store.has_ever_had_users(tx):
            return None
    password = settings.admin_password or crypto.generate_password()
    new = NewUser(
        username=settings.admin_username,
        email=settings.admin_email,
        role=Role.SUPERADMIN,
        tenant_id=None,
    )
    try:
        user = await users.create(
            directory, actor, new, password, PASSWORD_RULES, charset=UsernameCharset.PERMISSIVE
        )
    except Invalid as fault:
        if all(problem.code == "taken" for problem in fault.problems):
            return None  # another node started at the same moment and was first
        raise
    return FirstAdmin(user.username, password, generated=not settings.admin_password)
