"""What creating, signing up and importing share: check a newcomer, hash, insert, write history."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from msgspec import UNSET

from dragoman.actions.directory import Directory
from dragoman.actions.steps.passwords import password_problems
from dragoman.rules import crypto, fields
from dragoman.rules.actor import Actor
from dragoman.rules.errors import Invalid, NotFound, Problem, Taken
from dragoman.rules.fields import UsernameCharset
from dragoman.rules.model import NewUser, Role, User
from dragoman.rules.passwords import PasswordRules
from dragoman.rules.vocabulary import Action
from dragoman.store import audit, login_names, tenants, users
from dragoman.store.transaction import Tx


async def insert(
    directory: Directory,
    actor: Actor,
    new: NewUser,
    password: str,
    rules: PasswordRules,
    charset: UsernameCharset,
    problems: list[Problem],
    *,
    action: str = Action.CREATE_USER,
    before: Callable[[Tx, NewUser], Awaitable[None]] | None = None,
    also: Callable[[Tx, User], Awaitable[None]] | None = None,
    verified: bool = False,
) -> User:
    """Check, hash and insert a user whose maker has the right to it (``create``, ``sign_up``).

    ``before`` and ``also`` do what belongs to the same transaction, first and last in it;
    ``verified`` says that the e-mail address has been proved.
    """
    trim_fields(new)
    told = {fault.field for fault in problems}
    problems += [p for p in fields.user_problems(new, charset=charset) if p.field not in told]
    if password or not problems:  # an absent one was told already
        problems += password_problems(directory, password, rules, new)
    told = {fault.field for fault in problems}
    read = directory.read(actor)
    problems += [
        Problem(field, "taken")
        for field in await login_names.taken(read, username=new.username, email=new.email)
        if field not in told
    ]
    tenant_id = None if new.tenant_id is UNSET else new.tenant_id
    if (
        tenant_id is not None
        and not told & {"tenant", "tenant_id"}
        and await tenants.find(read, tenant_id) is None
    ):
        problems.append(Problem("tenant", "unknown", tenant_id))
    if problems:
        raise Invalid(*problems)
    encoded = await directory.password_hasher.hash(password)
    async with directory.begin(actor) as tx:
        if before is not None:
            await before(tx, new)
        if tenant_id is not None:
            await _lock_tenant(tx, tenant_id, new.role)
        row = msgspec.structs.asdict(new)
        row.update(
            public_id=crypto.generate_public_id(),
            tenant_id=tenant_id,
            role=int(new.role),
            display_name=new.display_name or full_name(new.first_name, new.last_name),
            password_hash=encoded,
            verified=verified,
            auth_epoch=0,
            created_at=tx.now,
            updated_at=tx.now,
            last_login_at=0,
        )
        try:
            user_id = await users.insert(tx, row)
        except Taken as taken:
            raise Invalid(Problem(taken.field, "taken")) from None
        audit.write(
            tx,
            action,
            target_id=user_id,
            tenant_id=tenant_id,
            fields=[name for name, value in msgspec.structs.asdict(new).items() if value != ""],
        )
        user = await users.get(tx, user_id)
        if also is not None:
            await also(tx, user)
        return user


async def _lock_tenant(tx: Tx, tenant_id: int, role: Role) -> None:
    try:
        await tenants.get(tx, tenant_id, for_update=role is Role.OWNER)
    except NotFound:
        raise Invalid(Problem("tenant", "unknown", tenant_id)) from None
    if role is Role.OWNER:
        await tenants.mark_owned(tx, tenant_id)


def trim_fields(struct: msgspec.Struct) -> None:
    """Take the outer white space off every text that somebody gave."""
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        if isinstance(value, str):
            setattr(struct, name, fields.trim(value))


def full_name(first_name: str, last_name: str) -> str:
    """Return the display name of a first and a last name."""
    return f"{first_name} {last_name}".strip()
