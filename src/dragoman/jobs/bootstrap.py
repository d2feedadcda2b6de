"""First start: create the permissions, the default tenant and the first superadmin."""

from __future__ import annotations

import uuid

import msgspec

from dragoman.actions import users
from dragoman.actions.directory import Directory
from dragoman.actions.steps import key_adoption
from dragoman.actions.system import system_actor
from dragoman.rules import crypto
from dragoman.rules.errors import Invalid
from dragoman.rules.fields import UsernameCharset
from dragoman.rules.model import NewUser, Role
from dragoman.rules.passwords import PasswordRules
from dragoman.rules.vocabulary import AuditAction
from dragoman.settings import SettingsError
from dragoman.store import audit, permissions, server_state, tenants
from dragoman.store import users as user_store
from dragoman.store.transaction import LOCK_TENANT_NAMES, Tx

PASSWORD_RULES = PasswordRules(min_length=1)
"""The operator chooses the first password: only the password policy in the settings applies."""


WRONG_SERVER_KEY = (
    "the server key is not the one that this database was used with: restore DRAGOMAN_SECRET_KEY "
    "or the file dragoman.key, or if that key is lost, run 'dragoman keys adopt'"
)

UNFINISHED_RESTORE = (
    "a backup was not restored completely into this database: run that 'dragoman restore' again"
)


class FirstAdmin(msgspec.Struct, frozen=True):
    """The first superadmin, as just created; ``generated`` if its password was generated."""

    username: str
    password: str
    generated: bool


async def bootstrap(directory: Directory, address: str = "") -> FirstAdmin | None:
    """Fill an empty database; if that was done before, only remember the public URL.

    ``address`` is where the server will listen, if one starts. Returns the first superadmin if this
    call created it.

    Raises:
        Invalid: the administrator's name, address or password in the settings is not valid.
        SettingsError: the server key is not the one that the database was used with, or a restore
            into the database was not finished.
    """
    settings = directory.settings
    actor = system_actor("first start")
    async with directory.begin(actor) as tx:
        await tx.lock(LOCK_TENANT_NAMES)
        if await server_state.find(tx, server_state.UNFINISHED_RESTORE):
            raise SettingsError([UNFINISHED_RESTORE])
        if not await key_adoption.confirm(tx, directory):
            raise SettingsError([WRONG_SERVER_KEY])
        await server_state.save(tx, server_state.PUBLIC_URL, settings.public_url)
        if address:
            await server_state.save(tx, server_state.LISTENING, address)
        if await server_state.find(tx, server_state.INSTANCE) is None:
            await server_state.save(tx, server_state.INSTANCE, crypto.generate_public_id())
        await permissions.insert_missing(tx)
        if await tenants.find_by_slug(tx, settings.tenant) is None:
            await _insert_tenant(tx, settings.tenant)
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
    except Invalid as error:
        if all(problem.code == "taken" for problem in error.problems):
            return None  # another node started at the same time and created it first
        raise
    return FirstAdmin(user.username, password, generated=not settings.admin_password)


async def _insert_tenant(tx: Tx, slug: str) -> None:
    """Insert the default tenant, named like its slug if that name is free."""
    name = slug
    if await tenants.find_by_name(tx, name) is not None:
        name = f"{name} {crypto.generate_public_id()}"
    row = {"public_id": str(uuid.uuid4()), "name": name, "slug": slug}
    defaults = {"email": "", "url": "", "description": "", "active": True}
    tenant_id = await tenants.insert(tx, {**row, **defaults})
    audit.write(
        tx,
        AuditAction.CREATE_TENANT,
        target_kind="tenant",
        target_id=tenant_id,
        tenant_id=tenant_id,
    )
